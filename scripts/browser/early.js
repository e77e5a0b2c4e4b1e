"use strict";
// The first script of a page that scripts/report-check opens. It notes what goes wrong after it.
window.reportCheck = { problems: [] };
(function () {
  const note = (text) => window.reportCheck.problems.push(text);
  const begin = (text) => String(text).slice(0, 80);

  // In the capturing phase, because the error of a picture or a script that does not load is not
  // handed on to the window.
  const capture = true;
  window.addEventListener(
    "error",
    ({ target, message, lineno }) => {
      const kind = target?.localName;
      if (kind) note(`the ${kind} ${begin(target.src || target.href)} does not load`);
      else note(`an error in line ${lineno}: ${message}`);
    },
    capture,
  );
  window.addEventListener("unhandledrejection", ({ reason }) => {
    note(`a promise was rejected: ${reason}`);
  });
  document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
    note(`the content security policy (${effectiveDirective}) forbids ${begin(blockedURI)}`);
  });

  // Whether a picture has pixels. `decode` of an element waits for a screen, which is not there.
  window.reportCheck.decodes = async (picture) => {
    // A picture that is far below would wait until somebody scrolls to it.
    picture.loading = "eager";
    if (!picture.complete) {
      await new Promise((ready) => {
        picture.addEventListener("load", ready);
        picture.addEventListener("error", ready);
      });
    }
    if (picture.naturalWidth === 0) return false;
    return createImageBitmap(picture).then(
      () => true,
      () => false,
    );
  };

  // Tries the page, and hands what was found to the page around it, of which it is a frame.
  window.reportCheck.tryWith = async (tryPage) => {
    let found = {};
    try {
      found = await tryPage();
    } catch (error) {
      const [what, where] = error.stack.split(/\n\s*/);
      note(`the check itself failed: ${what} ${where}`);
    }
    parent.postMessage({ reportCheck: { ...found, problems: window.reportCheck.problems } }, "*");
  };
})();
