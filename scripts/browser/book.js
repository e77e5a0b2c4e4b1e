"use strict";
// The last script of a page of the book that scripts/report-check opens. It hands over the page's
// places and links as they are after the page's own scripts, which write the list of chapters.
(function () {
  // So many milliseconds of the browser's time the index of the search may take to load.
  const MOST_WAITED = 10000;

  window.reportCheck.tryWith(tryPage);

  function require(isSo, what) {
    if (!isSo) window.reportCheck.problems.push(what);
  }

  function all(selector) {
    return [...document.querySelectorAll(selector)];
  }

  function wait(milliseconds) {
    return new Promise((ready) => setTimeout(ready, milliseconds));
  }

  async function tryPage() {
    if (document.readyState !== "complete") {
      await new Promise((ready) => window.addEventListener("load", ready));
    }
    // Scripts that wait for the page have their turn.
    await wait(100);
    const results = window.reportCheck.withSearch ? await trySearch() : 0;
    for (const picture of all("img")) {
      const decodes = await window.reportCheck.decodes(picture);
      require(decodes, `the picture ${picture.getAttribute("src")} cannot be decoded`);
    }
    const places = all("[id]").map((part) => part.getAttribute("id"));
    const named = all("a[name]").map((part) => part.getAttribute("name"));
    const links = all("a[href]").map((link) => link.href);
    return { places: [...places, ...named], links, results };
  }

  // Searches for a word of the page's heading as a reader does. Gives how many places are found.
  async function trySearch() {
    const toggle = document.querySelector("#mdbook-search-toggle, #search-toggle");
    const bar = document.querySelector("#mdbook-searchbar, #searchbar");
    const results = document.querySelector("#mdbook-searchresults, #searchresults");
    const heading = document.querySelector("main h1, main h2")?.textContent ?? "";
    const [word] = (heading.match(/\p{L}{4,}/gu) ?? []).sort((a, b) => b.length - a.length);
    const isThere = Boolean(toggle && bar && results && word);
    require(isThere, "the page has no search, or no heading with a word to search for");
    if (!isThere) return 0;
    toggle.click();
    bar.value = word;
    bar.dispatchEvent(new KeyboardEvent("keyup", { key: word.at(-1), bubbles: true }));
    for (let waited = 0; waited < MOST_WAITED && results.children.length === 0; waited += 100) {
      await wait(100);
    }
    require(results.children.length > 0, `the search for ${word} finds nothing`);
    return results.children.length;
  }
})();
