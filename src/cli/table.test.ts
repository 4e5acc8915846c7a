import { deepEqual, equal } from "node:assert/strict";
import { describe, it } from "node:test";
import { type Column, renderTable } from "./table.ts";

const columns: readonly Column[] = [{ title: "NAME", shrinkTo: 6 }, "N", { title: "STATE", shrinkTo: 4 }];
const rows = [
  ["a-long-name", "1", "loading weights"],
  ["b", "20", ""],
];

function lines(width: number | null): readonly string[] {
  return renderTable(columns, rows, width).trimEnd().split("\n");
}

describe("a table", () => {
  it("is as wide as it comes where nobody sets a limit, without blanks at the ends of lines", () => {
    deepEqual(lines(null), ["NAME         N   STATE", "a-long-name  1   loading weights", "b            20"]);
  });

  it("narrows the widest column that may shrink, and marks what is cut", () => {
    deepEqual(lines(28), ["NAME         N   STATE", "a-long-name  1   loading we…", "b            20"]);
  });

  it("narrows further columns when that is not enough, each down to its own limit", () => {
    deepEqual(lines(16), ["NAME    N   STA…", "a-lon…  1   loa…", "b       20"]);
  });

  it("leaves out what may be left out before anything shrinks, the last one first", () => {
    const wide: readonly Column[] = ["NAME", { title: "FIRST", mayGo: true }, "N", { title: "SECOND", mayGo: true }];
    const row = ["name", "1", "2", "3"];
    equal(renderTable(wide, [row], 22), "NAME  FIRST  N  SECOND\nname  1      2  3\n");
    equal(renderTable(wide, [row], 21), "NAME  FIRST  N\nname  1      2\n");
    equal(renderTable(wide, [row], 13), "NAME  N\nname  2\n");
  });

  it("never has a line wider than the terminal", () => {
    for (let width = 1; width < 60; width += 1) {
      for (const line of lines(width)) equal(Array.from(line).length <= width, true, `${width}: ${line}`);
    }
  });

  it("lets no cell break a line or control the terminal", () => {
    equal(renderTable(["A", "B"], [["x\ny", "\u001b[2Jz"]], null), "A    B\nx y   [2Jz\n");
  });
});
