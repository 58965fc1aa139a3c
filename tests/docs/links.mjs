// The links of the documents: what they point at, and whether it is there. Only what is in the repository: no network is used.
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { root } from "./blocks.mjs";

/** The text of a document without its code, line by line, so that line numbers stay. */
function prose(markdown) {
  let fence;
  const lines = markdown.split("\n").map((line) => {
    const [, mark] = /^\s*(```+|~~~+)/.exec(line) ?? [];
    if (fence) {
      if (mark?.startsWith(fence) && line.trim() === mark) fence = undefined;
      return "";
    }
    if (mark) fence = mark;
    return mark ? "" : line.replace(/(`+)(?!`).*?[^`]\1(?!`)/g, (code) => "`".repeat(code.length));
  });
  return lines.join("\n");
}

/** This repository on GitHub, at any version: what a document links to there is in its folder here. */
const OURS = /^https:\/\/github\.com\/wsmesh\/wsmesh\/blob\/[^/]+(?=\/)/;

/** The links of a document: `{ line, target }`. Those to other hosts are left out; `/PATH` begins at the root of the repository. */
export function linksOf(markdown) {
  const text = prose(markdown);
  const patterns = [
    /\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g, // [text](target "title"), ![text](target)
    /^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?/gm, // [name]: target
    /\b(?:src|srcset|href)="([^"\s]+)"/g,
  ];
  const found = patterns.flatMap((pattern) => [...text.matchAll(pattern)]);
  return found
    .map(({ 0: whole, 1: target, index }) => ({ line: text.slice(0, index + whole.indexOf(target)).split("\n").length, target: target.replace(OURS, "") }))
    .filter(({ target }) => !/^[a-z][a-z0-9+.-]*:|^\/\//i.test(target))
    .sort((a, b) => a.line - b.line);
}

/** The path of a link's file, from the root of the repository; `path` is that of the document. */
export const fileOf = (path, target) => normalize(target.startsWith("/") ? `.${target}` : join(dirname(path), target));

/** The anchors of a document, as GitHub makes them: of its headings, and those that are given by hand. */
export function anchorsOf(markdown) {
  const [anchors, seen] = [new Set(), new Map()];
  // Code in a heading is part of its anchor.
  const kept = markdown.replace(/^\s*(```+|~~~+)[\s\S]*?^\s*\1\s*$/gm, "");
  for (const [, heading] of kept.matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const plain = heading.replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[*`]|<[^>]+>/g, "");
    const slug = plain.toLowerCase().replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "").replaceAll(" ", "-");
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    anchors.add(count ? `${slug}-${count}` : slug);
  }
  for (const [, id] of kept.matchAll(/<a\s+(?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

/** What is wrong with the links of a document, one line each; `read` gives the text of another one. */
export function broken(path, markdown, read = (name) => readFileSync(join(root, name), "utf8")) {
  return linksOf(markdown).flatMap(({ line, target }) => {
    const [file, anchor] = target.split("#").map(decodeURIComponent);
    const at = file === "" ? path : fileOf(path, file);
    const problem = (text) => [`${path}:${line}: ${target}: ${text}`];
    if (at.startsWith("..")) return problem("points out of the repository");
    if (file !== "" && !existsSync(join(root, at))) return problem("there is no such file");
    if (anchor === undefined) return [];
    if (!at.endsWith(".md") || (file !== "" && statSync(join(root, at)).isDirectory())) return problem("only documents have headings to point at");
    return anchorsOf(at === path ? markdown : read(at)).has(anchor) ? [] : problem("there is no such heading");
  });
}
