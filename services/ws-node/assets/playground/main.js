// The playground: panels around one connection, made with the JavaScript SDK (`wsmesh`, from connector.min.js).
import { Chat } from "./chat.js";
import { Connection } from "./connection.js";
import { FrameInspector } from "./frames.js";
import { Game } from "./game.js";
import { Nodes } from "./nodes.js";
import { Plot } from "./plot.js";
import { RequestPanel } from "./requests.js";
import { Traces } from "./traces.js";

const traces = new Traces();
const inspector = new FrameInspector(traces);
const plot = new Plot();
const connection = new Connection(traces, (frame) => {
  plot.watch(frame);
  inspector.add(frame);
});
new Chat(connection);
new Game(connection);
new RequestPanel(connection, plot, traces);
new Nodes();
