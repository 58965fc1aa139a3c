// For the walk of services/FINDING-SLOW.md: a backend that answers each event after so many milliseconds. backend.mjs [MILLISECONDS]
import { createServer } from "node:http";

const [delay = "0"] = process.argv.slice(2);
createServer((asked, answer) => {
  asked.resume();
  setTimeout(() => answer.writeHead(200, { "content-type": "application/json" }).end('{"ok": true}'), Number(delay));
}).listen(8080, "127.0.0.1");
