// The blocks of code in the project's documents, and what the comments before them say about how they are tested.
//
// A comment is invisible to readers and stands right before its block: <!-- test: name=start then=stop -->
//   name    what other blocks call this one
//   after   the block that runs before it, in the same shell
//   then    the block that runs after it, in the same shell
//   dry     why it cannot run here: every command only checks its arguments
//   quiet   why it needs a machine that does nothing else: it runs with QUIET=1 only, and the output says so
//   needs   a program that the block needs and that a machine may lack: then it is skipped, and the output says so
//   use     JavaScript that runs after the block, where the block only declares something
//   file    the file that contains this block, word for word: that file is built or run by a test of its own
import { readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

const KEYS = new Set(["name", "after", "then", "dry", "quiet", "needs", "use", "file"]);
const FOREIGN = new Set([".git", "node_modules", "target"]);

/** The paths of all documents, from the root. */
export function documents(folder = root) {
  const entries = readdirSync(folder, { withFileTypes: true }).filter(({ name }) => !FOREIGN.has(name));
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return documents(path);
    return entry.name.endsWith(".md") ? [relative(root, path)] : [];
  });
}

/** The blocks of one document, in order: `{ path, line, language, text, name, after, then, dry, quiet, needs, use, file }`; `line` is that of its fence. */
export const blocksOf = (path) => parse(path, readFileSync(join(root, path), "utf8"));

export function parse(path, markdown) {
  const [blocks, lines] = [[], markdown.split("\n")];
  let [open, mark] = [undefined, {}];
  lines.forEach((line, index) => {
    const fence = /^\s*(```+|~~~+)(.*)$/.exec(line);
    const at = `${path}:${index + 1}`;
    if (open) {
      if (fence?.[1].startsWith(open.fence) && fence[2].trim() === "") {
        blocks.push({ ...open.mark, path, line: open.line, language: open.language, text: open.body.join("\n") + "\n" });
        open = undefined;
      } else open.body.push(line);
    } else if (fence) {
      const [language] = fence[2].trim().split(/[\s,]/);
      if (!language) throw new Error(`${at}: say what is in this block: \`\`\`sh, \`\`\`text …`);
      open = { fence: fence[1], line: index + 1, language: language, mark, body: [] };
      mark = {};
    } else if (/^\s*<!--\s*test:/.test(line)) mark = marks(at, line);
    else if (line.trim() && Object.keys(mark).length) throw new Error(`${at}: the comment before this line is for a block, and there is none`);
  });
  if (open) throw new Error(`${path}:${open.line}: this block is not closed`);
  return blocks;
}

function marks(at, line) {
  const inside = /^\s*<!--\s*test:\s*(.*?)\s*-->\s*$/.exec(line)?.[1];
  if (inside === undefined) throw new Error(`${at}: the comment must end in its line`);
  const found = {};
  const rest = inside.replace(/(\w+)=(?:"([^"]*)"|(\S+))\s*/g, (_, key, quoted, bare) => {
    if (!KEYS.has(key)) throw new Error(`${at}: ${key} is none of ${[...KEYS].join(", ")}`);
    found[key] = quoted ?? bare;
    return "";
  });
  if (rest) throw new Error(`${at}: "${rest}" is not KEY=VALUE`);
  return found;
}

/** What runs in one shell for this block, in order: what it needs before it, itself, what ends it. */
export function session(block, all) {
  const called = (name) => {
    const [found, second] = all.filter((other) => other.name === name);
    if (!found || second) throw new Error(`${block.path}:${block.line}: ${found ? "several blocks are" : "no block is"} called ${name}`);
    return found;
  };
  const before = block.after ? session({ ...called(block.after), then: undefined }, all) : [];
  return [...before, block, ...(block.then ? [called(block.then)] : [])];
}
