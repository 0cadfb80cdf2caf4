"use strict";
// Texts of the data become text nodes, never HTML.

const $ = (id) => document.getElementById(id);
const chosen = { query: "", text: "", row: null };
let state = null;

function element(name, properties = {}, ...children) {
  const { class: classes, ...others } = properties;
  const made = Object.assign(document.createElement(name), others);
  if (classes) made.className = classes;
  made.append(...children);
  return made;
}

async function ask(path, values = {}) {
  const response = await fetch(`api/${path}?${new URLSearchParams(values)}`);
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.problem), { status: response.status });
  return answer;
}

// One request at a time: of the calls that come meanwhile, only the last is made. So a slide never shows an old alpha.
function latest(call) {
  let running = false, again = false;
  return async function run() {
    if (running) { again = true; return; }
    running = true;
    do {
      again = false;
      try { await call(); show("problem", ""); } catch (error) { report(error); }
    } while (again);
    running = false;
  };
}

function report(error) {
  if (error.status === 503) return; // the encoder is loading, and the state says so
  show("problem", error.status ? error.message : "The server does not answer. Start xdr-explore again.");
}

function show(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
  if (id === "problem") $(id).hidden = !text;
}

const number = (value, digits = 4) => value.toFixed(digits).replace("-", "−");
const signed = (value, digits) => (value > 0 ? "+" : "") + number(value, digits);
const count = (value) => value.toLocaleString("en");
const alpha = () => Number($("alpha").value);
const systemName = () => state.fusion ? state.fusion.name + (state.fusion.takes_alpha ? `, alpha ${alpha()}` : "") : "";

function moved(before, after) {
  if (before === after) return "same";
  return after < before ? `up\u00a0${count(before - after)}` : `down\u00a0${count(after - before)}`;
}

function nameOf(passage) { return passage.title || passage.snippet; }

// --- the questions of the evaluation

const listQuestions = latest(async () => {
  const found = await ask("questions", { language: $("language").value, words: $("words").value });
  $("questions").replaceChildren(...found.questions.map((question) => element(
    "option", { value: question.id, textContent: question.text, title: question.text, lang: question.language, dir: "auto", selected: question.id === chosen.query },
  )));
  const shown = found.questions.length < found.total ? `the first ${count(found.questions.length)} of ${count(found.total)}` : count(found.total);
  show("questions-label", `Questions of the evaluation: ${shown}`);
});

const listChanges = latest(async () => {
  if (!$("system").value) return;
  const found = await ask("changes", { system: $("system").value, metric: $("metric").value, language: $("language").value });
  show("changes-note", `${$("metric").value} of each question: baseline → ${$("system").value}, as evaluated.`);
  for (const side of ["gained", "lost"]) {
    const digits = found.is_rank ? 0 : 2;
    const items = found[side].map((change) => {
      const values = `${number(change.before, digits)} → ${number(change.after, digits)}`;
      const button = element("button", { type: "button", class: side === "gained" ? "of-rise" : "of-fall" },
        element("span", { dir: "auto", lang: change.language, textContent: change.text }),
        element("span", { class: `values ${side === "gained" ? "rise" : "fall"}`, textContent: values }));
      button.dataset.id = change.id;
      button.addEventListener("click", () => {
        const of = state.alphas[$("system").value];
        if (of !== undefined && of !== null) setAlpha(of);
        choose({ query: change.id, text: "" });
        $("rankings-heading").scrollIntoView({ block: "nearest" });
      });
      return element("li", {}, button);
    });
    $(side).replaceChildren(...(items.length ? items : [element("li", { class: "soft", textContent: "none" })]));
  }
});

// --- rankings

function choose(question) {
  Object.assign(chosen, question, { row: null });
  $("passage").hidden = true;
  if (chosen.text) $("questions").selectedIndex = -1;
  else $("questions").value = chosen.query;
  rank();
}

function asked() { return chosen.query ? { query: chosen.query } : { text: chosen.text }; }

const rank = latest(async () => {
  if (!chosen.query && !chosen.text) return;
  const values = { ...asked(), alpha: alpha(), k: $("k").value };
  const found = await ask("rankings", values);
  $("rankings-heading").textContent = found.question.text;
  $("rankings-heading").lang = found.question.language;
  $("k-box").hidden = false;
  fill($("baseline"), "baseline", found.baseline, "before", "after");
  if (found.fused) fill($("fused"), systemName(), found.fused, "after", "before");
  $("baseline").parentElement.hidden = false;
  $("fused").parentElement.hidden = !found.fused;
  show("summary", summary(found));
  $("relevant").replaceChildren(...found.relevant.slice(0, 10).map((passage) => element("li", {},
    "Relevant: ", element("span", { dir: "auto", textContent: nameOf(passage) }), ` (rank ${ranksOf(passage, found.fused)})`)));
  if (chosen.row !== null) await showPassage();
});

function ranksOf(passage, fused) {
  return count(passage.before.rank) + (fused ? ` → ${count(passage.after.rank)}` : "");
}

function summary(found) {
  if (!found.fused) return found.question.stored ? "" : "A new question: no passage was judged for it.";
  const changed = found.fused.filter((passage) => passage.before.rank !== passage.after.rank).length;
  const sentences = [`${changed} of the first ${found.fused.length} passages have another rank than in the baseline.`];
  if (found.relevant.length) {
    const best = (side) => Math.min(...found.relevant.map((passage) => passage[side].rank));
    sentences.unshift(`First relevant passage: rank ${count(best("before"))} in the baseline, ${count(best("after"))} with ${systemName()}.`);
  } else if (!found.question.stored) sentences.unshift("A new question: no passage was judged for it.");
  return sentences.join(" ");
}

function fill(table, name, passages, own, other) {
  const heads = state.fusion ? ["Rank", "Passage", "Score", own === "after" ? "Against baseline" : "With fusion"] : ["Rank", "Passage", "Score"];
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col", textContent: text, class: text === "Passage" ? "passage" : "" })));
  const rows = passages.map((passage) => {
    const open = element("button", { type: "button", dir: "auto", textContent: nameOf(passage) });
    open.addEventListener("click", async () => {
      chosen.row = passage.row;
      markChosen();
      try { await showPassage(); $("passage-heading").focus(); } catch (error) { report(error); }
    });
    const cell = element("td", { class: "passage" }, open);
    if (passage.title) cell.append(element("p", { dir: "auto", textContent: passage.snippet }));
    if (passage.mark) cell.append(element("span", { class: "mark", textContent: `✓ ${passage.mark}` }));
    const row = element("tr", { class: passage.mark ? "marked" : "" },
      element("th", { scope: "row", textContent: count(passage[own].rank) }), cell, element("td", { textContent: number(passage[own].score) }));
    row.dataset.row = passage.row;
    if (state.fusion) row.append(movedCell(passage, own, other));
    return row;
  });
  table.replaceChildren(element("caption", { textContent: name }), element("thead", {}, head), element("tbody", {}, ...rows));
  markChosen();
}

// In the baseline's table the cell says where the fusion puts the passage, in the other where it comes from.
function movedCell(passage, own, other) {
  const text = moved(passage.before.rank, passage.after.rank);
  const kind = text.startsWith("up") ? "rise" : text.startsWith("down") ? "fall" : "soft";
  const place = own === "after" ? `from\u00a0${count(passage[other].rank)}` : `to\u00a0${count(passage[other].rank)}`;
  const cell = element("td", { class: kind, textContent: text });
  if (text !== "same") cell.append(" ", element("span", { class: "soft", textContent: place }));
  return cell;
}

function markChosen() {
  for (const row of document.querySelectorAll(".rankings tbody tr")) row.classList.toggle("chosen", Number(row.dataset.row) === chosen.row);
}

// --- one passage

async function showPassage() {
  const found = await ask("passage", { ...asked(), row: chosen.row, alpha: alpha() });
  if (found.row !== chosen.row) return;
  $("passage").hidden = false;
  $("passage-heading").textContent = found.title || `Passage ${found.id}`;
  const facts = [`Passage ${found.id}`, found.mark && `It is marked “${found.mark}”`, `Baseline: rank ${count(found.before.rank)}, score ${number(found.before.score)}`];
  if (found.after) facts.push(`${systemName()}: rank ${count(found.after.rank)}, score ${number(found.after.score)}`);
  show("passage-facts", facts.filter(Boolean).join(". ") + ".");
  $("passage-text").textContent = found.text;
  $("passage-text").lang = found.language;
  $("shares").replaceChildren(...(found.shares ? [sharesTable(found)] : []));
}

function sharesTable(found) {
  const { questions, additive, passage, rounding } = found.shares;
  if (!questions.length) return element("p", { textContent: "No question was generated for this passage." });
  const rows = questions.map((question) => ({ ...question, share: question.share ?? 0 })).sort((one, other) => other.share - one.share);
  const own = (text, share) => ({ text, share, language: "en", language_name: "", product: null });
  if (additive) rows.unshift(own("the passage itself", passage));
  if (additive && Math.abs(rounding) >= 0.00005) rows.push(own("rounding of the stored sums", rounding));
  const largest = Math.max(...rows.map((row) => Math.abs(row.share)), 1e-12);
  const body = rows.map((row) => {
    const bar = element("span", { class: row.share < 0 ? "bar negative" : "bar" });
    bar.style.width = `${(100 * Math.abs(row.share)) / largest}%`;
    const name = element("th", { scope: "row" }, element("span", { dir: "auto", lang: row.language, textContent: row.text }));
    if (row.language_name) name.append(element("span", { class: "soft", textContent: row.language_name }));
    const cells = [name, element("td", { textContent: row.product === null ? "" : number(row.product) })];
    if (additive) cells.push(element("td", { textContent: signed(row.share, 4) }), element("td", { class: "bars" }, bar));
    return element("tr", {}, ...cells);
  });
  const heads = ["Text", "Similarity q·g", ...(additive ? ["Share in the score", ""] : [])];
  const head = element("tr", {}, ...heads.map((text) => element(text ? "th" : "td", { textContent: text, ...(text ? { scope: "col" } : {}) })));
  const caption = additive
    ? `What the score ${number(found.after.score)} of ${systemName()} is made of`
    : `The generated questions. ${state.fusion.name} has no shares: its vectors are not weighted sums.`;
  const table = element("table", {}, element("caption", { textContent: caption }), element("thead", {}, head), element("tbody", {}, ...body));
  const box = element("div", { class: "scroll", tabIndex: 0 }, table);
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Shares in the score");
  const notes = ["q·g is the inner product of the question and the generated question."];
  if (additive) notes.push("The shares add up to the score. A share is q·g times the weight of the text in the fused vector.");
  if (additive && state.fusion.normalized) notes.push("The vector is scaled to norm 1, so each weight depends on all texts of the passage.");
  const note = element("p", { class: "soft", textContent: notes.join(" ") });
  return element("div", {}, box, note);
}

// --- alpha

function setAlpha(value) {
  $("alpha").value = value;
  showAlpha();
}

function showAlpha() {
  $("alpha-value").value = alpha();
  for (const button of $("alphas").children) button.setAttribute("aria-pressed", String(Number(button.dataset.alpha) === alpha()));
}

// --- the start

function options(select, pairs) { select.replaceChildren(...pairs.map(([value, text]) => element("option", { value, textContent: text }))); }

async function setUp() {
  document.title = `Explorer: ${state.folder}`;
  show("about", `${state.folder}: ${count(state.num_queries)} questions, ${count(state.num_passages)} passages`);
  options($("language"), [["", "all"], ...state.languages.map(({ code, name }) => [code, name])]);
  options($("system"), state.systems.map((name) => [name, name]));
  options($("metric"), state.metrics.map((name) => [name, name]));
  if (state.best) $("system").value = state.best;
  const graded = state.metrics.find((name) => /^(nDCG|MRR|MAP)/.test(name));
  $("metric").value = graded ?? state.headline;
  $("changes").hidden = !state.systems.length;
  if (state.fusion) {
    show("formula", `Fusion ${state.fusion.name}: ${state.fusion.formula}.`);
    $("alpha-box").hidden = !state.fusion.takes_alpha;
    const values = Object.values(state.alphas).filter((value) => value !== null);
    $("alphas").replaceChildren(...values.map((value) => {
      const button = element("button", { type: "button", textContent: `${value}` });
      button.dataset.alpha = value;
      button.addEventListener("click", () => { setAlpha(value); rank(); });
      return button;
    }));
    const fits = (step) => values.every((value) => Math.abs(value / step - Math.round(value / step)) < 1e-6);
    $("alpha").step = [0.01, 0.005, 0.001, 0.0001].find(fits) ?? "any";
    setAlpha(state.alphas[state.best] ?? values[0] ?? 0);
  } else show("formula", state.remark || "This evaluation fuses nothing into the passages: there is the baseline alone.");
  await Promise.all([listQuestions(), listChanges()]);
  const first = document.querySelector("#gained button") ?? $("questions").options[0];
  if (first) chosen.query = first.dataset.id ?? first.value;
}

async function watch() {
  try {
    const first = state === null;
    state = await ask("state");
    if (first) await setUp();
    show("state", state.ready || state.problem ? "" : "The encoder is loading. Rankings follow as soon as it is ready.");
    if (state.problem) { show("problem", state.problem); return; }
    $("search").disabled = !state.ready;
    if (state.ready) { choose(chosen); return; }
  } catch (error) { report(error); }
  setTimeout(watch, 400);
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("question").value.trim();
  if (text) choose({ query: "", text });
});
$("questions").addEventListener("change", () => choose({ query: $("questions").value, text: "" }));
$("words").addEventListener("input", listQuestions);
$("language").addEventListener("change", () => { listQuestions(); listChanges(); });
$("system").addEventListener("change", listChanges);
$("metric").addEventListener("change", listChanges);
$("k").addEventListener("change", rank);
$("alpha").addEventListener("input", () => { showAlpha(); rank(); });
watch();
