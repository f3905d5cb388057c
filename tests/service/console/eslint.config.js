// Rules for the console's scripts; types are checked by tsc, see tsconfig.json.

import js from "@eslint/js";

export default [
  js.configs.recommended,
  {
    // tsc knows what a browser has; this only has to know that it is not for eslint to say.
    rules: {
      "no-undef": "off",
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Text is never read as HTML." },
        { property: "outerHTML", message: "Text is never read as HTML." },
        { property: "insertAdjacentHTML", message: "Text is never read as HTML." },
      ],
    },
  },
];
