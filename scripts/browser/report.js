"use strict";
// The last script of a report that scripts/report-check opens. It acts as a reader would, and hands
// over what is not as it should be. It knows the parts of src/report/page/page.html and page.js.
(function () {
  // A word that no table has.
  const NOWHERE = "wordthatnotablehas";
  // What the page shows for a cell without a value.
  const ABSENT = "-";
  // What WCAG 2, level AA, asks of text.
  const LEAST_CONTRAST = 4.5;

  window.reportCheck.tryWith(tryPage);

  function require(isSo, what) {
    if (!isSo) window.reportCheck.problems.push(what);
  }

  function all(selector, from = document) {
    return [...from.querySelectorAll(selector)];
  }

  // An event such as `toggle` comes later than the click that causes it.
  function soon() {
    return new Promise((ready) => setTimeout(ready, 30));
  }

  // The beginning of an element's text.
  function begin(part) {
    return part.textContent.trim().slice(0, 50);
  }

  async function tryPage() {
    const height = document.documentElement.scrollHeight;
    const headings = all("h1, h2, h3").filter((part) => part.checkVisibility());
    const data = JSON.parse(document.getElementById("tables").textContent);
    const tables = data
      .map((table) => ({ table, place: document.getElementById("table-" + table.name) }))
      .filter(({ place }) => place);
    const viewport = document.querySelector('meta[name="viewport"]')?.content ?? "";
    require(viewport.includes("width=device-width"), "a phone would show the page of a desktop");
    tryWidth("as it opens");
    tryScheme();
    await tryFolds();
    tryWidth("with everything unfolded");
    const tried = tables.map(({ table, place }) => tryTable(table, place));
    tryWidth("with all columns");
    const pictures = await tryPictures();
    const drawings = tryDrawings();
    const links = tryLinks();
    tryContrast();
    for (const { name } of performance.getEntriesByType("resource")) {
      require(name.startsWith("data:"), `the page loads ${name}`);
    }
    return {
      height,
      headings: headings.map((part) => part.textContent),
      tables: tried,
      pictures,
      drawings,
      links,
    };
  }

  // Whether the page can be read without scrolling sideways.
  function tryWidth(when) {
    const excess = document.documentElement.scrollWidth - innerWidth;
    const isWide = (part) => part.getBoundingClientRect().right > innerWidth + 0.5;
    const wide = () => all("body *").filter((part) => isWide(part) && !part.closest(".scroll"));
    const named = () => wide().slice(-3).map((part) => `${part.localName} "${begin(part)}"`);
    if (excess <= 0) return;
    const what = `the page is ${excess} px wider than the window, ${when}`;
    require(false, `${what}: ${named().join(", ")}`);
  }

  function tryScheme() {
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    const paper = luminance(colour(getComputedStyle(document.body).backgroundColor));
    require(isDark ? paper < 0.2 : paper > 0.8, `the paper has a luminance of ${paper.toFixed(2)}`);
  }

  // Unfolds everything: parts of the page first, then what comes with the tables inside of them.
  async function tryFolds() {
    const seen = new Set();
    for (let found = all("details"); found.length > 0; ) {
      for (const part of found) {
        seen.add(part);
        await tryFold(part);
      }
      found = all("details").filter((part) => !seen.has(part));
    }
  }

  async function tryFold(part) {
    const summary = part.querySelector(":scope > summary");
    require(summary && begin(summary), "a folded part has no name");
    if (!summary) return;
    const click = () => {
      summary.click();
      return soon();
    };
    const isShown = () => Boolean(part.open && summary.nextElementSibling?.checkVisibility());
    if (!part.open) await click();
    require(isShown(), `${begin(summary)}: does not unfold`);
    await click();
    require(!isShown(), `${begin(summary)}: does not fold`);
    await click();
    require(isShown(), `${begin(summary)}: does not unfold again`);
  }

  // Tries one table, and leaves it with all columns. Gives its cells as they were shown, with all
  // columns and in the first order of the rows.
  function tryTable(table, place) {
    const { columns } = table;
    const count = columns[0]?.shown.length ?? 0;
    const check = (isSo, what) => require(isSo, `table ${table.name}: ${what}`);
    const headings = () => all("thead tr:last-child th", place);
    const names = () => headings().map((cell) => cell.textContent.replace(/ [\u25b2\u25bc]$/, ""));
    const rows = () => all("tbody tr", place);
    const texts = () => rows().map((row) => [...row.cells].map((cell) => cell.textContent));

    const shownAtFirst = names();
    const main = columns.filter((column) => !column.detail).map((column) => column.name);
    check(shownAtFirst.join("\n") === main.join("\n"), `shows at first ${shownAtFirst.join(", ")}`);
    tryGroups();
    tryHiding();
    const exact = (cell) => [cell.textContent, cell.title];
    const cells = rows().map((row) => [...row.cells].map(exact));
    tryBest();
    trySorting();
    tryFilter();
    return {
      name: table.name,
      shownAtFirst,
      columns: names(),
      numbers: columns.map((column) => column.number),
      cells,
      count,
      isFolded: Boolean(place.closest("details")),
    };

    // Folds and unfolds each group, and leaves all columns shown.
    function tryGroups() {
      const lines = all(":scope > details .tools", place);
      const groups = [...new Set(columns.map((column) => column.group))];
      const isEach = lines.length === groups.length;
      check(isEach, `${lines.length} of ${groups.length} groups can be chosen`);
      for (const [i, line] of lines.entries()) {
        const [whole, ...single] = all('input[type="checkbox"]', line);
        const members = columns.filter((column) => column.group === groups[i]);
        const title = `the group ${groups[i] || "of rows"}`;
        for (const isOn of whole.checked ? [false, true] : [true, false, true]) {
          whole.click();
          const shown = new Set(names());
          const follows = members.every((column) => shown.has(column.name) === isOn);
          check(follows, `${title} is not ${isOn ? "shown" : "hidden"} by its box`);
          const follow = single.every((box) => box.checked === isOn);
          check(follow, `${title} has boxes that do not follow`);
        }
      }
      const shown = names().length;
      check(shown === columns.length, `${shown} of ${columns.length} columns can be shown`);
      const spans = all("thead th.group", place).map((cell) => cell.colSpan);
      const spanned = spans.reduce((sum, span) => sum + span, 0);
      check(spans.length === 0 || spanned === shown, "the names of groups do not span the columns");
    }

    function tryHiding() {
      const box = all(':scope > details .tools input[type="checkbox"]', place).at(-1);
      if (!box) return;
      const name = box.parentElement.textContent.trim();
      const isWhole = () => rows().every((row) => row.cells.length === names().length);
      box.click();
      check(!names().includes(name) && isWhole(), `the column ${name} cannot be hidden`);
      box.click();
      check(names().includes(name) && isWhole(), `the column ${name} does not come back`);
    }

    // The best values, and no others, are bold. The rows are in their first order.
    function tryBest() {
      for (const [i, row] of rows().entries()) {
        for (const [j, cell] of [...row.cells].entries()) {
          const isBest = Boolean(columns[j]?.best.includes(i));
          const isBold = Number(getComputedStyle(cell).fontWeight) >= 600;
          const what = isBest ? "is the best and not" : "is not the best, but";
          const where = `in row ${i + 1} of ${columns[j]?.name}`;
          check(isBest === isBold, `${cell.textContent} ${where} ${what} bold`);
        }
      }
    }

    function trySorting() {
      const gathered = () => texts().map((row) => row.join("\u0001")).sort().join("\n");
      const before = gathered();
      for (const i of columnsToSort()) {
        const { name, number } = columns[i];
        const directions = new Set();
        for (const time of ["once", "twice"]) {
          headings()[i].querySelector("button").click();
          const direction = headings()[i].getAttribute("aria-sort");
          directions.add(direction);
          const value = (cell) => (number ? cell.title : cell.textContent) || ABSENT;
          const values = rows().map((row) => value(row.cells[i]));
          const wrong = outOfOrder(values, direction === "descending");
          check(!wrong, `sorted ${time} by ${name}, ${wrong?.join(" comes before ")}`);
        }
        const isBoth = directions.has("ascending") && directions.has("descending");
        check(isBoth, `${name} is sorted in one direction only`);
      }
      // Of a long table other rows are seen.
      check(rows().length < count || gathered() === before, "sorting changes the rows");
    }

    // Those that are shown at first, and of the others the first one of each group.
    function columnsToSort() {
      const groups = new Set();
      return columns.flatMap((column, i) => {
        const isFirst = !groups.has(column.group);
        groups.add(column.group);
        return !column.detail || isFirst ? [i] : [];
      });
    }

    function tryFilter() {
      const search = place.querySelector('input[type="search"]');
      check(search, "cannot be filtered");
      if (!search || count === 0) return;
      const filter = (words) => {
        search.value = words;
        search.dispatchEvent(new Event("input", { bubbles: true }));
      };
      const shown = rows().length;
      const words = columns.flatMap((column) => column.shown.at(-1).split(/\s+/));
      const word = words.find((word) => /\p{L}{2}/u.test(word));
      if (word) {
        const has = (row) => row.join("\n").toLowerCase().includes(word.toLowerCase());
        const numbers = Array.from({ length: count }, (_, row) => row);
        const expected = numbers.filter((row) => has(columns.map((column) => column.shown[row])));
        filter(word.toUpperCase());
        check(texts().every(has), `the filter leaves a row without ${word}`);
        const left = rows().length;
        const isAll = left === Math.min(expected.length, shown);
        check(isAll, `the filter leaves ${left} of ${expected.length} rows with ${word}`);
      }
      filter(NOWHERE);
      check(rows().length === 0, "the filter leaves rows for a word that they do not have");
      filter("");
      check(rows().length === shown, "not all rows come back without a filter");
    }
  }

  // The first two neighbours that are in the wrong order. Cells without a value come last.
  function outOfOrder(values, isFalling) {
    const alphabet = new Intl.Collator(undefined, { numeric: true });
    const compare = (a, b) => {
      // A key such as 16257e969900 would be an infinite number. It is a text.
      const [x, y] = [Number(a), Number(b)];
      if (Number.isFinite(x) && Number.isFinite(y)) return x - y;
      // Numbers come before texts.
      if (Number.isFinite(x) !== Number.isFinite(y)) return Number.isFinite(x) ? -1 : 1;
      return alphabet.compare(a, b);
    };
    const isWrong = (a, b) => {
      if (a === ABSENT || b === ABSENT) return b !== ABSENT;
      return isFalling ? compare(a, b) < 0 : compare(a, b) > 0;
    };
    const place = values.findIndex((value, i) => i > 0 && isWrong(values[i - 1], value));
    return place > 0 ? [values[place - 1], values[place]] : null;
  }

  async function tryPictures() {
    const pictures = all("img");
    for (const [i, picture] of pictures.entries()) {
      const name = `picture ${i + 1} (${picture.alt.slice(0, 50)})`;
      const decodes = await window.reportCheck.decodes(picture);
      require(decodes, `${name} cannot be decoded`);
      const { width } = picture.getBoundingClientRect();
      require(!decodes || width >= 50, `${name} is only ${width} px wide`);
      require(picture.alt, `${name} has no text in its place`);
    }
    return pictures.length;
  }

  function tryDrawings() {
    const drawings = all("svg");
    for (const [i, drawing] of drawings.entries()) {
      const name = drawing.getAttribute("aria-label") ?? `drawing ${i + 1}`;
      const labels = all("text", drawing).filter((label) => label.textContent.trim());
      require(drawing.getBoundingClientRect().width > 0, `${name} is not shown`);
      require(labels.length > 0, `${name} has no labels`);
      const flat = labels.find((label) => label.getComputedTextLength() === 0);
      require(!flat, `${name}: the label ${flat?.textContent} has no width`);
    }
    return drawings.length;
  }

  function tryLinks() {
    const links = all("a[href]").map((link) => link.getAttribute("href"));
    for (const link of links.filter((link) => link.startsWith("#"))) {
      const target = document.getElementById(decodeURIComponent(link.slice(1)));
      require(target, `the link ${link} leads nowhere`);
      require(!target || target.checkVisibility(), `the link ${link} leads to something hidden`);
    }
    return links.length;
  }

  // Whether every text stands out from what is behind it.
  function tryContrast() {
    const tried = new Set();
    const check = (ink, paper, text) => {
      const kind = [ink, paper].join(";");
      if (!ink || !paper || tried.has(kind)) return;
      tried.add(kind);
      const [one, other] = [luminance(over(ink, paper)), luminance(paper)];
      const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      const what = `the text "${text}" has a contrast of only ${contrast.toFixed(1)}`;
      require(contrast >= LEAST_CONTRAST, what);
    };
    for (const part of all("input[placeholder]")) {
      const ink = colour(getComputedStyle(part, "::placeholder").color);
      check(ink, behind(ancestors(part)), part.placeholder);
    }
    for (const part of all("body *")) {
      const isLabel = part.localName === "text";
      if (!hasText(part) || (part.ownerSVGElement && !isLabel) || !part.checkVisibility()) continue;
      const style = getComputedStyle(part);
      const ink = colour(isLabel ? style.fill : style.color);
      const paper = isLabel ? behindLabel(part) : behind(ancestors(part));
      check(ink, paper, begin(part));
    }
  }

  function hasText(part) {
    const isText = (child) => child.nodeType === Node.TEXT_NODE && child.data.trim();
    return [...part.childNodes].some(isText);
  }

  function ancestors(part) {
    return part ? [part, ...ancestors(part.parentElement)] : [];
  }

  // The colour behind the middle of a label of a drawing. Null where it is not on the screen.
  function behindLabel(label) {
    label.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
    const { left, right, top, bottom } = label.getBoundingClientRect();
    const stack = document.elementsFromPoint((left + right) / 2, (top + bottom) / 2);
    if (!stack.includes(label.ownerSVGElement)) return null;
    return behind(stack.filter((part) => part.localName !== "text"));
  }

  // The colour of layers that lie on each other, the topmost one first.
  function behind(layers) {
    const colours = layers.map((layer) => {
      const style = getComputedStyle(layer);
      if (!layer.ownerSVGElement) return colour(style.backgroundColor);
      const [red, green, blue, alpha] = colour(style.fill) ?? [0, 0, 0, 0];
      return [red, green, blue, alpha * Number(style.fillOpacity) * Number(style.opacity)];
    });
    return colours.reverse().reduce((paper, layer) => over(layer, paper), [255, 255, 255, 1]);
  }

  function over([red, green, blue, alpha], paper) {
    const mixed = [red, green, blue].map((value, i) => alpha * value + (1 - alpha) * paper[i]);
    return [...mixed, 1];
  }

  // The parts of `rgb(1, 2, 3)` or `rgba(1, 2, 3, 0.5)`. Null for other paints, such as `none`.
  function colour(text) {
    const parts = /^rgba?\(([^)]*)\)$/.exec(text)?.[1].split(/[,/\s]+/).map(Number);
    return parts ? [...parts.slice(0, 3), parts[3] ?? 1] : null;
  }

  // The relative luminance as WCAG 2 defines it.
  function luminance(colour) {
    const [red, green, blue] = colour.slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
})();
