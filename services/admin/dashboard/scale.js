// How many Redis nodes there are: a small form, in Kubernetes only. The job of the last change is shown beside it.
import { ask, inWords } from "./api.js";
import { confirm } from "./dialog.js";
import { byId, onSubmit, write } from "./dom.js";
import { drawIn } from "./views.js";
import { plural } from "./words.js";

export function startScaling(live, jobs) {
  const wanted = byId("scale-replicas");
  drawIn("nodes", live, () => {
    const membership = live.snapshot?.nodes.membership;
    byId("scale-part").hidden = !membership;
    if (!membership) return;
    const { replicas, leader } = membership;
    write(byId("scale-now"), replicas === null ? "The number of pods is not known yet." : `The StatefulSet has ${plural(replicas, "pod")}${leader ? `; ${leader} follows it` : ""}.`);
    // What somebody types stays.
    if (wanted.value === "" && replicas !== null) wanted.value = replicas;
  });
  onSubmit(byId("scale"), () => scale(Number(wanted.value), live, jobs));
}

async function scale(replicas, live, jobs) {
  const now = live.snapshot?.nodes.membership?.replicas ?? null;
  if (now !== null && replicas < now) {
    const sure = await confirm({
      title: `Scale the Redis nodes down to ${replicas}?`,
      effect: `The nodes with the highest numbers are drained, one after the other; then their pods end. No message is lost.`,
      action: `Scale to ${replicas}`,
    });
    if (!sure) return;
  }
  byId("scale-go").disabled = true;
  say("Asking Kubernetes …", "");
  try {
    const job = await ask("nodes/scale", { method: "POST", body: { replicas } });
    if (job.id === undefined) {
      say(`There are ${plural(replicas, "pod")} already.`, "good");
      return;
    }
    say("The Redis nodes are scaled. The job is below and in the view Activity.", "good");
    jobs.follow(job);
    byId("scale-job").replaceChildren(jobs.element(job.id));
  } catch (error) {
    say(inWords(error), "bad");
  } finally {
    byId("scale-go").disabled = false;
  }
}

function say(text, mood) {
  byId("scale-notice").textContent = text;
  byId("scale-notice").dataset.mood = mood;
}
