// Jobs: changes of the nodes, with the progress of each server. Any admin tells them all.
import { ask, inWords } from "./api.js";
import { byId, keyed, make, mark, write } from "./dom.js";
import { pill, setPill } from "./table.js";
import { change, clock, duration, plural } from "./words.js";

const KEPT = 100;
/** A job that runs and of which nothing was heard for so long is asked for. */
const QUIET_MS = 2000;

export class Jobs {
  #jobs = new Map();
  /** More elements of jobs, by id: a job that was started in a form is also shown there. */
  #elements = new Map();
  #heardAt = 0;

  constructor(live) {
    live.on("begin", () => this.#load());
    live.on("missed", () => this.#load());
    live.on("job", (job) => this.follow(job));
    live.on("snapshot", () => this.#check());
  }

  /** Shows a job, or its progress. */
  follow(job) {
    const known = this.#jobs.get(job.id);
    // The answer to a request may come after later news.
    if (known && known.state !== "running" && job.state === "running") return;
    this.#jobs.set(job.id, job);
    this.#heardAt = performance.now();
    this.#show();
  }

  /** An element that shows this job from now on. */
  element(id) {
    const element = create();
    this.#elements.set(id, element);
    this.#show();
    return element;
  }

  #check() {
    const running = [...this.#jobs.values()].some(({ state }) => state === "running");
    if (running && performance.now() - this.#heardAt > QUIET_MS) this.#load();
  }

  async #load() {
    this.#heardAt = performance.now();
    try {
      const { jobs } = await ask("jobs");
      for (const job of jobs) this.follow(job);
      this.#show();
    } catch (error) {
      write(byId("jobs-empty"), `The jobs could not be loaded: ${inWords(error)}`);
    }
  }

  #show() {
    const jobs = [...this.#jobs.values()].sort((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
    for (const { id } of jobs.splice(KEPT)) this.#jobs.delete(id);
    keyed(byId("jobs"), jobs, ({ id }) => id, create, fill);
    byId("jobs-empty").hidden = jobs.length > 0;
    for (const [id, element] of this.#elements) {
      const job = this.#jobs.get(id);
      if (job) fill(element, job);
    }
  }
}

function create() {
  const element = make("li", "", "job");
  const head = make("div", "", "bar");
  head.append(make("b"), pill("running"), make("span", "", "hint"));
  const progress = make("progress");
  const servers = make("details");
  servers.append(make("summary"), make("ul", "", "pairs"));
  element.append(head, progress, make("p", "", "bad"), servers);
  return element;
}

function fill(element, job) {
  const { id, state, why, startedAt, finishedAt, admin } = job;
  const [head, progress, problem, more] = element.children;
  const { parts, unit } = partsOf(job);
  const counted = parts.filter((part) => part.counted || part.done);
  const done = counted.filter((part) => part.done).length;
  mark(element, "data-job", id);
  write(head.children[0], change(job));
  setPill(head.children[1], state);
  const span = finishedAt ? `took ${duration(Date.parse(finishedAt) - Date.parse(startedAt))}` : "";
  write(head.children[2], [clock(startedAt), span, admin].filter(Boolean).join(" · "));
  mark(progress, "aria-label", `Progress: ${change(job)}`);
  progress.max = Math.max(counted.length, 1);
  progress.value = state === "done" ? progress.max : done;
  write(problem, why ?? "");
  write(more.firstChild, `${done} of ${plural(counted.length, unit)} done`);
  const line = ({ name }) => {
    const element = make("li");
    element.append(make("span", name), make("b"));
    return element;
  };
  keyed(more.lastChild, parts, ({ name }) => name, line, (element, part) => write(element.lastChild, part.words));
}

/** What a job waits for: the nodes that come or go with a StatefulSet, or else the servers. */
function partsOf({ what, servers = [], nodes = [] }) {
  if (what === "scale") {
    const parts = nodes.map(({ node, state, done }) => ({ name: node, counted: true, done, words: done ? "done" : (state ?? "is no node yet") }));
    return { parts, unit: "Redis node" };
  }
  return { parts: servers.map((server) => ({ ...server, name: server.server, words: progressOf(server) })), unit: "server" };
}

function progressOf({ state, hears, counted, done }) {
  if (done) return "done";
  if (!counted) return "is starting: nobody waits for it";
  return `${state ?? "has not learned of it"}${hears ? "" : ", does not hear it"}`;
}
