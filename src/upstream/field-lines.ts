/** RFC 9110 section 5.6.2, as the source of a pattern. */
export const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"

/** No folded lines, no space before the colon, no bare CR or LF: RFC 9112 sections 5.1, 5.2 and 2.2. */
export const FIELD_LINES = new RegExp(`^(?:${TOKEN}:[\\t\\x20-\\x7e\\x80-\\xff]*\\r\\n)*$`)
