"use strict";
// Tables that are sorted, filtered and narrowed in the page. Every text is put in as text, never as HTML.
(function () {
  const ROWS_AT_FIRST = 200;
  // So many times as many rows with each click: a browser needs long for ten thousand.
  const MORE_ROWS = 5;
  const data = JSON.parse(document.getElementById("tables").textContent);

  function element(kind, text, className) {
    const made = document.createElement(kind);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function compare(a, b) {
    // Thresholds are texts. As texts 0.25 would come after 0.3.
    const [x, y] = [a, b].map((value) => (String(value).trim() === "" ? NaN : Number(value)));
    if (Number.isFinite(x) && Number.isFinite(y)) return x - y;
    if (Number.isFinite(x) !== Number.isFinite(y)) return Number.isFinite(x) ? -1 : 1;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  }

  function show(table, place) {
    const count = table.columns.length ? table.columns[0].shown.length : 0;
    const best = table.columns.map((column) => new Set(column.best));
    const visible = table.columns.map((column) => !column.detail);
    // Only a search needs them, and a page with many rows opens sooner without them.
    const texts = [];
    const textOf = (row) => (texts[row] ??= table.columns.map((column) => column.shown[row]).join("\u0001").toLowerCase());
    const inOrder = () => Array.from({ length: count }, (_, row) => row);
    let order = inOrder();
    let sorted = -1, falling = false, words = [], most = ROWS_AT_FIRST;

    const tools = element("div", undefined, "tools");
    const search = element("input");
    search.type = "search";
    search.placeholder = "only rows with these words";
    search.setAttribute("aria-label", "only rows with these words");
    search.addEventListener("input", () => {
      words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      draw();
    });
    const told = element("span", undefined, "soft");
    tools.append(search, told);
    place.append(tools, chooser());
    const scroll = element("div", undefined, "scroll");
    const more = element("button");
    more.addEventListener("click", () => {
      most *= MORE_ROWS;
      draw();
    });
    place.append(scroll, more);

    // Checkboxes of columns, group by group; a group's own box hides or shows all of it.
    function chooser() {
      const details = element("details");
      details.append(element("summary", "columns"));
      const groups = [...new Set(table.columns.map((column) => column.group))];
      for (const group of groups) {
        const line = element("div", undefined, "tools");
        const boxes = [];
        const members = table.columns.map((column, i) => i).filter((i) => table.columns[i].group === group);
        const all = checkbox(group || "rows", members.every((i) => visible[i]), (on) => {
          for (const [i, box] of boxes) box.checked = visible[i] = on;
        });
        all.label.style.fontWeight = "600";
        line.append(all.label);
        for (const i of members) {
          const one = checkbox(table.columns[i].name, visible[i], (on) => (visible[i] = on));
          boxes.push([i, one.box]);
          line.append(one.label);
        }
        details.append(line);
      }
      return details;
    }

    function checkbox(name, on, change) {
      const label = element("label"), box = element("input");
      box.type = "checkbox";
      box.checked = on;
      box.addEventListener("change", () => {
        change(box.checked);
        draw();
      });
      label.append(box, " " + name);
      return { label, box };
    }

    function sortBy(i) {
      falling = sorted === i ? !falling : table.columns[i].number;
      sorted = i;
      const values = table.columns[i].values;
      order = inOrder();
      order.sort((a, b) => {
        if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null) || a - b;
        return (falling ? -1 : 1) * compare(values[a], values[b]) || a - b;
      });
      draw();
    }

    function draw() {
      const columns = table.columns.map((_, i) => i).filter((i) => visible[i]);
      const rows = order.filter((row) => words.every((word) => textOf(row).includes(word)));
      const drawn = element("table"), head = element("thead"), body = element("tbody");
      const groups = element("tr"), names = element("tr");
      for (let at = 0; at < columns.length; ) {
        let next = at;
        while (next < columns.length && table.columns[columns[next]].group === table.columns[columns[at]].group) next++;
        const cell = element("th", table.columns[columns[at]].group, "group");
        cell.colSpan = next - at;
        groups.append(cell);
        at = next;
      }
      for (const i of columns) {
        const cell = element("th", undefined, table.columns[i].number ? "number" : "");
        const mark = sorted === i ? (falling ? " \u25bc" : " \u25b2") : "";
        const button = element("button", table.columns[i].name + mark);
        if (sorted === i) cell.setAttribute("aria-sort", falling ? "descending" : "ascending");
        button.addEventListener("click", () => sortBy(i));
        cell.append(button);
        names.append(cell);
      }
      if (columns.some((i) => table.columns[i].group)) head.append(groups);
      head.append(names);
      for (const row of rows.slice(0, most)) {
        const line = element("tr");
        for (const i of columns) {
          const column = table.columns[i];
          const cell = element("td", column.shown[row], (column.number ? "number" : "") + (best[i].has(row) ? " best" : ""));
          if (column.number && column.values[row] !== null) cell.title = String(column.values[row]);
          line.append(cell);
        }
        body.append(line);
      }
      drawn.append(head, body);
      scroll.replaceChildren(drawn);
      told.textContent = rows.length === count ? count + " rows" : rows.length + " of " + count + " rows";
      more.hidden = rows.length <= most;
      more.textContent = "show " + Math.min(rows.length, most * MORE_ROWS) + " rows";
    }

    draw();
  }

  for (const table of data) {
    const place = document.getElementById("table-" + table.name);
    if (!place) continue;
    // A folded table is made when it is opened.
    const folded = place.closest("details");
    if (folded && !folded.open) folded.addEventListener("toggle", () => show(table, place), { once: true });
    else show(table, place);
  }
})();
