// Parses the LogQL of every log panel with Grafana's own grammar: `node logql.mjs NODE_MODULES <lines`,
// each line "where<TAB>expression".
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { parser } = createRequire(`${process.argv[2]}/`)("@grafana/lezer-logql");
let failed = 0;
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const [where, expression] = line.split("\t");
  let broken = false;
  parser.parse(expression).iterate({ enter: (node) => void (broken ||= node.type.isError) });
  if (broken) {
    console.log(`${where}: LogQL does not parse: ${expression}`);
    failed = 1;
  }
}
process.exit(failed);
