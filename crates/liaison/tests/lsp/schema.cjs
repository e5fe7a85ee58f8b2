// Holds recipes, told as JSON lines of {name, good, recipe}, against the schema in the file named,
// with an independent validator. Prints one line for each on which the two disagree.

const { readFileSync } = require("node:fs");
const Ajv = require("ajv/dist/2020").default;

const schema = JSON.parse(readFileSync(process.argv[2], "utf8"));
const validate = new Ajv({ strict: false, allErrors: false, validateFormats: false }).compile(schema);
let held = 0;
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const { name, good, recipe } = JSON.parse(line);
  if (validate(recipe) === good) held += 1;
  else console.log(`${name} should be ${good}: ${JSON.stringify(validate.errors)}`);
}
console.log(`${held} held`);
