import ArgumentParser

/// What shows how a training went.
struct ReportOptions: ParsableArguments {
  @Flag(
    help: ArgumentHelp(
      "Write no report. A training ends with a page, report.html in the output folder: curves, losses of "
        + "single examples, data, settings and machine."))
  var noReport = false
}
