// JSON Schema: reads it, and says in one line what a value has that it may not have.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { Ajv } = require("ajv");
const { default: addFormats } = require("ajv-formats");

/** Checks values with the schemas of one document, which may refer to each other by its path. */
export class Schemas {
  #ajv = new Ajv({ strict: false, allErrors: true });

  constructor(document, name = "document") {
    addFormats(this.#ajv);
    this.name = name;
    this.#ajv.addSchema(document, name);
  }

  /** What is wrong with `value` by the schema at this JSON pointer; undefined if nothing is. */
  problem(pointer, value) {
    const validate = this.#ajv.getSchema(`${this.name}#${pointer}`);
    if (!validate) throw new Error(`${this.name} has nothing at ${pointer}`);
    return validate(value) ? undefined : `${JSON.stringify(value)}: ${this.#ajv.errorsText(validate.errors)}`;
  }
}

/** The schema of AsyncAPI documents of this version. */
export const asyncApi = (version) => require("@asyncapi/specs").schemasWithoutId[version];
