extension Page {
  /// The one style of all pages.
  static let style = """
    :root { color-scheme: light dark; --ink: #1d2330; --soft: #5c6575; --paper: #ffffff; --card: #f4f6f9;
      --line: #d9dee7; --bar: #3b73b9; --over: #c2472f; --second: #c2472f; --good: #2e7d4f;
      --heat: 194, 71, 47; }
    @media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #a0a8b8; --paper: #14171d;
      --card: #1e232c; --line: #343b48; --bar: #6ea3e4; --over: #ec7a62; --second: #f0a35e;
      --good: #6fc293; --heat: 236, 122, 98; } }
    * { box-sizing: border-box; }
    html { -webkit-text-size-adjust: 100%; }
    body { margin: 0; background: var(--paper); color: var(--ink);
      font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK JP", sans-serif; }
    main { max-width: 960px; margin: 0 auto; padding: 24px 20px 64px; }
    h1 { font-size: 24px; line-height: 1.3; margin: 8px 0 0; overflow-wrap: anywhere; }
    h2 { font-size: 18px; margin: 36px 0 10px; } h3 { font-size: 15px; margin: 20px 0 6px; }
    p { margin: 0 0 10px; }
    .path { color: var(--soft); margin: 0 0 20px; overflow-wrap: anywhere; }
    .soft { color: var(--soft); } .good { font-size: 18px; }
    .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; }
    .tiles div, figure, .card { background: var(--card); border-radius: 8px; padding: 12px 16px; }
    .tiles b { display: block; font-size: 22px; line-height: 1.35; font-variant-numeric: tabular-nums;
      overflow-wrap: anywhere; }
    .tiles span, summary span { color: var(--soft); }
    table { border-collapse: collapse; width: 100%; }
    th { text-align: left; color: var(--soft); font-weight: normal; }
    th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top;
      overflow-wrap: anywhere; }
    .pairs th { width: 34%; min-width: 110px; overflow-wrap: normal; }
    .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; width: 1%; }
    .counts td, .counts th { white-space: nowrap; }
    .counts td:nth-child(2) { white-space: normal; overflow-wrap: normal; }
    .note { margin: 16px 0 0; overflow-wrap: anywhere; }
    .counts .bar { width: 40%; vertical-align: middle; }
    .bar i { display: block; height: 10px; border-radius: 2px; background: var(--bar); }
    ul { margin: 0; padding-left: 20px; } li { margin: 4px 0; overflow-wrap: anywhere; }
    pre { margin: 0; background: var(--card); border-radius: 8px; padding: 12px 16px;
      font: 13px/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
      white-space: pre-wrap; overflow-wrap: anywhere; }
    .alert { border-left: 4px solid var(--over); background: var(--card); border-radius: 0 8px 8px 0;
      padding: 10px 16px; margin: 0 0 16px; overflow-wrap: anywhere; }
    .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(270px, 100%), 1fr));
      gap: 16px; margin-top: 16px; }
    figure { margin: 0; min-width: 0; }
    figcaption { font-size: 14px; display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: baseline; }
    figcaption b { font-weight: 600; } figcaption span { color: var(--soft); }
    .key { display: inline-block; width: 16px; height: 3px; border-radius: 2px; vertical-align: middle;
      margin-right: 5px; background: var(--bar); }
    .key.faint { opacity: 0.4; } .key.second { background: var(--second); }
    .key.dot { width: 8px; height: 8px; border-radius: 4px; }
    svg { width: 100%; height: auto; display: block; margin-top: 8px; }
    svg rect { fill: var(--bar); } svg .over { fill: var(--over); }
    svg line { stroke: var(--line); } svg text { fill: var(--soft); font-size: 14px; }
    .plot { position: relative; margin: 14px 6px 24px 46px; height: 150px; }
    .plot.tall { height: 260px; }
    .plot svg { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; overflow: visible; }
    .plot path { fill: none; stroke: var(--bar); stroke-width: 2px; vector-effect: non-scaling-stroke;
      stroke-linejoin: round; stroke-linecap: round; }
    .plot .grid { stroke: var(--line); stroke-width: 1px; }
    .plot .faint { opacity: 0.4; stroke-width: 1px; } .plot .second { stroke: var(--second); }
    .plot .dots { stroke-width: 7px; } .plot .ring { stroke-width: 13px; opacity: 0.35; }
    .plot span { position: absolute; font-size: 12px; line-height: 1; color: var(--soft);
      font-variant-numeric: tabular-nums; white-space: nowrap; }
    .plot .y { right: 100%; margin-right: 7px; transform: translateY(-50%); }
    .plot .x { top: 100%; margin-top: 7px; transform: translateX(-50%); }
    .plot .x.last { transform: translateX(-100%); } .plot .x.first { transform: none; }
    .two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(280px, 100%), 1fr));
      gap: 12px; }
    .card { margin-bottom: 12px; min-width: 0; } .card .card { margin: 0; background: var(--paper); }
    .label { display: block; color: var(--soft); font-size: 13px; }
    .text { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 0 8px; }
    .text:last-child { margin-bottom: 0; }
    mark { color: inherit; background: rgba(var(--heat), 0.09); border-bottom: 2px solid var(--second); }
    mark.h1 { background: rgba(var(--heat), 0.2); } mark.h2 { background: rgba(var(--heat), 0.36); }
    mark.h3 { background: rgba(var(--heat), 0.56); }
    details { margin-top: 16px; border: 1px solid var(--line); border-radius: 8px; padding: 8px 16px; }
    .card details { border: 0; padding: 0; margin: 8px 0 0; }
    summary { cursor: pointer; font-weight: 600; } summary span { font-weight: normal; }
    .card summary { font-weight: normal; color: var(--soft); }
    a { color: var(--bar); }
    @media (max-width: 640px) { .counts .bar { width: 10%; } }
    @media (max-width: 480px) { main { padding: 12px 14px 48px; } .plot.tall { height: 210px; }
      .tiles { grid-template-columns: 1fr 1fr; gap: 8px; } .tiles div { padding: 10px 12px; }
      .tiles b { font-size: 19px; } th, td { padding-right: 8px; } }
    @media print { :root { --ink: #000; --soft: #444; --paper: #fff; --card: #f4f4f4; --line: #bbb;
      --bar: #3b73b9; --second: #c2472f; --heat: 194, 71, 47; color-scheme: light; }
      main { max-width: none; padding: 0; } body { font-size: 11pt; -webkit-print-color-adjust: exact;
      print-color-adjust: exact; } h2 { break-after: avoid; }
      .tiles div, figure, .card, .alert, tr { break-inside: avoid; } }
    """
}
