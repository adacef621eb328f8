// Text with LaTeX: what stands between delimiters is typeset by KaTeX, all else stays text.
"use strict";
{
  const MAX_SOURCE = 3000;
  // A dollar opens before a non-space and closes after one, not before a digit: prices stay prices.
  const MATHS =
    /\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]|\\\(([\s\S]+?)\\\)|\$(?!\s)((?:\\.|[^$\\\n])+?)(?<!\s)\$(?!\d)|(\\boxed\{[^{}\n]*(?:\{[^{}\n]*\}[^{}\n]*)*\})/g;
  const options = (displayMode) => ({
    displayMode,
    output: "html", // the MathML twin sets style attributes, which the policy forbids
    throwOnError: true,
    trust: false,
    strict: "ignore",
    maxExpand: 200,
    maxSize: 8,
    globalGroup: false,
  });

  const typeset = (source, whole, isDisplay) => {
    const place = R.h(isDisplay ? "span.display" : "span", { role: "math", "aria-label": R.visible(source) });
    try {
      if (source.length > MAX_SOURCE || R.visible(source) !== source) throw new RangeError("shown as it was written");
      katex.render(source, place, options(isDisplay));
    } catch {
      return document.createTextNode(R.visible(whole)); // not LaTeX that KaTeX knows: as it was written
    }
    return place;
  };

  // Pieces [{text} | {node}] of a text, in order.
  R.pieces = (text) => {
    const pieces = [];
    let done = 0;
    for (const match of text.matchAll(MATHS)) {
      if (match.index > done) pieces.push(document.createTextNode(R.visible(text.slice(done, match.index))));
      const [whole, dollars, brackets, parentheses, dollar, boxed] = match;
      const source = dollars ?? brackets ?? parentheses ?? dollar ?? boxed;
      pieces.push(typeset(source, whole, dollars != null || brackets != null));
      done = match.index + whole.length;
    }
    if (done < text.length) pieces.push(document.createTextNode(R.visible(text.slice(done))));
    return pieces;
  };

  R.prose = (text, name = "div.prose") => R.h(name, null, R.pieces(text.replace(/^\n+|\s+$/g, "")));
}
