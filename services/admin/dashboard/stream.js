// Reads server-sent events from the answer of a fetch, because EventSource cannot send the authorization header.

/** Calls `each(name, data)` for every event until the stream ends; `data` is its JSON. `alive` is called for all that arrives. */
export async function read(answer, each, alive = () => {}) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const parse = parser(each);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    parse(value);
  }
}

/** As <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>, without ids. */
function parser(each) {
  let rest = "";
  let name = "";
  let data = [];
  const line = (text) => {
    if (text === "") {
      if (data.length) each(name || "message", JSON.parse(data.join("\n")));
      name = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "event") name = value;
    if (field === "data") data.push(value);
  };
  return (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const text of lines) line(text.endsWith("\r") ? text.slice(0, -1) : text);
  };
}
