// Reads Mermaid text on stdin. Prints the type of the diagram and exits 0, or prints what is wrong with it and exits 1.
import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";

// Mermaid cleans labels through a DOM. It looks for one when it is loaded, so the window has to be there before.
const { window } = new JSDOM("");
globalThis.window = window;
globalThis.document = window.document;

const { default: mermaid } = await import("mermaid");
// The default limit is 500 edges: it guards browsers, and is no part of the grammar.
mermaid.initialize({ maxEdges: 1_000_000, maxTextSize: 100_000_000 });

try {
  const { diagramType } = await mermaid.parse(readFileSync(0, "utf8"));
  console.log(diagramType);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
