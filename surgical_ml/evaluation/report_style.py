"""How a report looks: one accent, and the same on a screen and on paper."""

STYLE = """
:root { --ink: #1d252c; --quiet: #5b6670; --faint: #d9dfe4; --accent: #0072b2; --paper: #ffffff; color-scheme: light; }
* { box-sizing: border-box; }
html { font: 16px/1.5 "Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", sans-serif; color: var(--ink);
  background: var(--paper); -webkit-print-color-adjust: exact; print-color-adjust: exact; }
body { max-width: 1040px; margin: 0 auto; padding: 48px 32px 72px; font-variant-numeric: tabular-nums; }
h1 { font-size: 34px; line-height: 1.15; margin: 4px 0 6px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 21px; line-height: 1.25; margin: 56px 0 4px; padding-top: 14px; border-top: 2px solid var(--ink); }
h3 { font-size: 16px; margin: 28px 0 8px; }
p { margin: 6px 0 12px; max-width: 74ch; }
a { color: var(--accent); }
.kicker { color: var(--accent); font-weight: 600; margin: 0; }
.lead { font-size: 18px; }
.quiet { color: var(--quiet); }
.notice { border-left: 5px solid var(--accent); background: #eef5fa; padding: 14px 20px; margin: 22px 0 26px; }
.notice p { margin: 2px 0; max-width: none; }
nav { margin: 22px 0 0; }
nav a { margin-right: 22px; }
.figures { display: flex; flex-wrap: wrap; gap: 8px 48px; margin: 0 0 14px; }
.figures div { min-width: 190px; flex: 1; }
.figures dt { font-weight: 600; }
.figures dd { margin: 0; color: var(--quiet); font-size: 15px; }
.figures dd.figure { color: var(--ink); font-size: 32px; line-height: 1.2; letter-spacing: -0.01em; }
.drawing { margin: 18px -8px 8px; overflow-x: auto; }
.drawing svg { display: block; width: 100%; min-width: 760px; height: auto; shape-rendering: crispEdges;
  font-size: 12px; fill: var(--ink); }
.drawing text { shape-rendering: auto; }
.drawing polygon, .drawing circle, .mark { shape-rendering: geometricPrecision; }
text.label { text-anchor: end; }
text.tick { text-anchor: middle; fill: var(--quiet); font-size: 11px; }
text.quiet { fill: var(--quiet); }
text.small { font-size: 11px; }
text.heading { font-weight: 600; fill: var(--ink); }
text.strong { font-weight: 600; }
text.inside { text-anchor: middle; pointer-events: none; }
text.light { fill: #ffffff; }
text.halo { paint-order: stroke; stroke: #ffffff; stroke-width: 5px; stroke-linejoin: round; }
.key { display: flex; flex-wrap: wrap; gap: 4px 26px; padding: 0; margin: 6px 0 22px; list-style: none; font-size: 14px;
  color: var(--quiet); }
.key svg, .mark { vertical-align: -2px; margin-right: 7px; }
table { border-collapse: collapse; width: 100%; margin: 12px 0 20px; font-size: 15px; }
th, td { text-align: left; vertical-align: top; padding: 7px 14px 7px 0; border-bottom: 1px solid var(--faint); }
thead th { font-size: 13px; font-weight: 600; color: var(--quiet); border-bottom: 1.5px solid var(--ink);
  vertical-align: bottom; }
th:last-child, td:last-child { padding-right: 0; }
th.number, td.number { text-align: right; white-space: nowrap; }
.figured th.number { width: 106px; }
td.time { white-space: nowrap; }
tbody th { font-weight: 400; }
.advisories tbody { border-bottom: 1px solid var(--ink); }
.advisories tbody tr td { border-bottom: none; padding-bottom: 2px; }
.advisories tbody tr.why td { padding: 6px 0 16px; }
.sentence { font-weight: 600; }
.reason { display: grid; grid-template-columns: max-content 1fr max-content 1fr; gap: 3px 18px; margin: 0;
  padding: 12px 18px; background: #f5f7f8; font-size: 14px; }
.reason dt { color: var(--quiet); }
.reason dd { margin: 0; overflow-wrap: anywhere; }
.glance { list-style: none; margin: -6px 0 12px; padding: 0; }
.glance .at { display: inline-block; min-width: 58px; padding-right: 10px; color: var(--quiet); }
.chip { display: inline-block; min-width: 24px; padding: 0 6px; margin-right: 9px; text-align: center; font-weight: 600; }
.chip.light { color: #ffffff; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 26px 24px; margin: 18px 0; }
.pictures figure { margin: 0; break-inside: avoid; }
.pictures img { display: block; width: 100%; height: auto; background: #000000; }
.pictures figcaption { font-size: 14px; margin-top: 7px; overflow-wrap: anywhere; }
code { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.identity th { width: 180px; color: var(--quiet); }
footer { margin-top: 56px; padding-top: 14px; border-top: 1px solid var(--faint); color: var(--quiet); font-size: 14px; }
@media (max-width: 720px) { body { padding: 24px 16px 48px; } .reason { grid-template-columns: max-content 1fr; } }
@media print {
  @page { size: A4; margin: 14mm 13mm; }
  html { font-size: 10pt; }
  body { max-width: none; padding: 0; }
  nav { display: none; }
  h1 { font-size: 21pt; }
  h2 { font-size: 14pt; margin-top: 26px; }
  h2, h3 { break-after: avoid; }
  .lead { font-size: 12pt; }
  .figures dd.figure { font-size: 19pt; }
  .figures dd, table, .pictures figcaption { font-size: 9pt; }
  th, td { padding: 4px 10px 4px 0; }
  thead th, .reason, .key, code { font-size: 8.5pt; }
  .figured th.number { width: 72px; }
  .drawing { overflow: visible; margin: 14px 0; break-inside: avoid; }
  .drawing svg { min-width: 0; }
  .scroll { overflow: visible; }
  p, tr, .advisories tbody, .notice { break-inside: avoid; }
  .pictures { grid-template-columns: repeat(3, 1fr); gap: 16px; }
}
"""
