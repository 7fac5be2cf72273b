"""JavaScript, by Node."""

from verifiers.sandbox.languages.base import Language

LANGUAGE = Language(
    name="javascript",
    alias="nodejs",
    file_name="main.js",
    compile=(),
    run=("node", "main.js"),
    self_test="""\
const line = require("fs").readFileSync(0, "utf8").split("\\n")[0];
console.log(line);
console.log(line);
""",
)
