"""What an evaluation's page adds to the look of every report."""

from surgical_ml.evaluation.report_style import STYLE as _EVERY_REPORT

STYLE = (
    _EVERY_REPORT
    + """
.drawing { margin-left: 0; margin-right: 0; }
.absent { border-left: 5px solid var(--faint); padding-left: 16px; color: var(--quiet); }
.notes { margin: 6px 0 18px; padding-left: 20px; max-width: 74ch; }
.gate .sign { display: inline-block; width: 26px; height: 26px; margin-right: 10px; border-radius: 50%; color: #ffffff;
  background: var(--accent); text-align: center; line-height: 26px; }
.gate.blocked { border-left-color: #b34700; background: #fdf1ea; }
.gate.blocked .sign { background: #b34700; }
.gate.insufficient { border-left-color: var(--quiet); background: #f5f7f8; }
.gate.insufficient .sign { background: var(--quiet); }
nav a { display: inline-block; padding: 3px 0; }
.diagram { margin: 14px 0 8px; }
.diagram svg { display: block; width: 100%; height: auto; font-size: 12px; fill: var(--ink); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 10px 48px;
  margin-bottom: 22px; }
.pair figure { margin: 0; break-inside: avoid; }
.pair figcaption { font-size: 14px; max-width: 362px; }
.below { display: block; color: var(--quiet); font-size: 12.5px; font-weight: 400; white-space: normal; }
.below.moved { color: var(--ink); font-weight: 600; text-decoration: underline; text-underline-offset: 3px; }
caption { text-align: left; caption-side: top; color: var(--quiet); font-size: 14px; padding-bottom: 6px; }
caption > span { display: block; max-width: min(100%, calc(100vw - 32px)); }
.key .chip { font-size: 13px; margin-right: 7px; color: var(--ink); }
.key .chip.light { color: #ffffff; }
.beside { color: var(--quiet); font-size: 12.5px; font-weight: 400; margin-left: 9px; }
.measures th[scope="row"], .measures th:first-child { width: 300px; }
.measures th.number, .measures td.number { width: 150px; padding-right: 28px; }
.measures td:not(.number) { color: var(--quiet); }
td.number .below { white-space: nowrap; }
.dense { font-size: 14px; }
.dense.figured th.number { width: auto; }
.conventions.figured th.number { width: auto; }
.conventions th:first-child { width: 250px; }
.scale { display: block; }
.ends { display: flex; justify-content: space-between; font-weight: 400; }
td.plot { padding-top: 0; padding-bottom: 0; vertical-align: middle; }
td.plot svg { display: block; margin-left: auto; }
.confusion { width: auto; }
.confusion th[scope="row"] { min-width: 170px; }
.confusion th.number { text-align: center; padding-left: 6px; padding-right: 6px; }
.confusion th.number:last-child { text-align: right; }
.confusion td.number { padding-left: 14px; }
.confusion .chip { margin-right: 0; color: var(--ink); }
.confusion .chip.light { color: #ffffff; }
.confusion th[scope="row"] .chip { margin-right: 9px; }
.confusion abbr { text-decoration: none; }
td.square { text-align: center; padding: 5px 4px; min-width: 66px; border: 1px solid #ffffff;
  font-size: 14px; line-height: 1.25; }
td.square .below { color: inherit; }
td.square.right { outline: 2px solid var(--ink); outline-offset: -2px; font-weight: 600; }
.forest td, .forest th { border-bottom: none; padding-top: 5px; padding-bottom: 5px; }
.forest thead th { border-bottom: 1.5px solid var(--ink); }
.forest tbody { border-bottom: 1px solid var(--faint); }
.forest tbody th { padding-left: 18px; }
.forest tr.whole th { padding-left: 0; font-weight: 600; }
.forest td.plot { width: 300px; padding: 0; }
.forest thead th:last-child { width: 300px; }
.forest thead .ends { margin: 0 2px; }
.forest tr.few th, .forest tr.few td { color: var(--quiet); font-style: italic; background: #f5f7f8; }
details { margin: 10px 0 18px; }
summary { cursor: pointer; color: var(--accent); font-weight: 600; padding: 4px 0; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
@media (max-width: 720px) {
  tbody th[scope="row"] { min-width: 150px; }
  .figured th.number { width: auto; }
  .measures th[scope="row"], .measures th:first-child, .measures th.number, .measures td.number { width: auto; }
  .measures th.number, .measures td.number { padding-right: 14px; }
  .measures td:not(.number):last-child { min-width: 170px; }
  .conventions tbody th { min-width: 210px; }
  .listed tbody th[scope="row"] { min-width: 0; }
}
@media print {
  html { color: #000000; }
  .figures { gap: 4px 20px; }
  .figures div { min-width: 0; }
  h2 + p, h3 + p { break-after: avoid; }
  .pair .figured th.number { width: auto; }
  details::details-content { content-visibility: visible; block-size: auto; }
  summary { list-style: none; color: #000000; break-after: avoid; }
  .below, caption, .pair figcaption { font-size: 8.5pt; }
  td.square { min-width: 0; font-size: 8.5pt; padding: 3px 2px; }
  .dense { font-size: 8pt; }
  .conventions th:first-child { width: 190px; }
  .conventions td.plot svg { width: 120px; height: 24px; }
  .forest td.plot svg { width: 220px; height: 26px; }
  .forest td.plot, .forest thead th:last-child { width: 220px; }
  .notice, .pair, figure, .diagram { break-inside: avoid; }
  .pair { grid-template-columns: 1fr 1fr; }
  caption, thead { break-after: avoid; }
  a { color: #000000; }
}
"""
)
