// Marks what was searched for in the texts of a page, also in those that appear later.
(() => {
  const MOST = 1000;
  const wanted = document.querySelector("[data-marked]")?.dataset.marked;
  if (!wanted) return;
  const words = wanted.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const occurrences = new RegExp(words.join("\\s+"), "giu");

  // A hit may begin in one text node and end in another, such as at a word that is new.
  function mark(text) {
    if (text.dataset.searched === text.innerHTML.length.toString()) return;
    const nodes = [];
    const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      if (!walker.currentNode.parentElement.closest("math, svg, summary, mark")) nodes.push(walker.currentNode);
    }
    const whole = nodes.map((node) => node.data).join("");
    const hits = [...whole.matchAll(occurrences)].slice(0, MOST);
    let end = whole.length;
    for (const node of nodes.reverse()) {
      const begin = end - node.data.length;
      for (const hit of hits.slice().reverse()) {
        const from = Math.max(hit.index - begin, 0);
        const to = Math.min(hit.index + hit[0].length - begin, node.data.length);
        if (from >= to) continue;
        const range = document.createRange();
        range.setStart(node, from);
        range.setEnd(node, to);
        range.surroundContents(document.createElement("mark"));
      }
      end = begin;
    }
    for (const found of text.querySelectorAll("details:has(mark)")) found.open = true;
    text.dataset.searched = text.innerHTML.length.toString();
  }

  let first = true;
  function markAll() {
    observer.disconnect();
    document.querySelectorAll(".text").forEach(mark);
    const hit = document.querySelector(".page .text mark");
    if (first && hit) {
      first = false;
      hit.closest(".folded")?.classList.remove("folded");
      hit.scrollIntoView({ block: "center" });
    }
    observer.observe(document.body, { childList: true, subtree: true });
  }
  const observer = new MutationObserver(markAll);
  markAll();
})();
