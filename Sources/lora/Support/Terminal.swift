import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The terminal behind standard error or output, if there is one.
enum Terminal {
  /// Whether somebody watches, and a line can be drawn again.
  static let isLive = isatty(STDERR_FILENO) == 1 && variable("TERM") != "dumb"

  /// The columns of a line of an open file, asked for anew: a window may have been made narrower.
  static func columns(of descriptor: Int32) -> Int {
    columns(window: Int(size(of: descriptor)?.ws_col ?? 0), variable: variable("COLUMNS"))
  }

  /// The lines of an open file's window; 24 where that is not known.
  static func rows(of descriptor: Int32) -> Int {
    size(of: descriptor).map { Int($0.ws_row) }.flatMap { $0 > 0 ? $0 : nil } ?? 24
  }

  private static func size(of descriptor: Int32) -> winsize? {
    var size = winsize()
    return ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 ? size : nil
  }

  /// The smaller one of what the window and the variable COLUMNS say, where they do: a line of the
  /// larger one might wrap. 80 where neither says anything.
  static func columns(window: Int, variable: String?) -> Int {
    let told = [window, variable.flatMap { Int($0) } ?? 0].filter { $0 > 0 }
    return told.min() ?? 80
  }

  /// Whether block characters are one column wide. Without UTF-8 they are not shown, and where
  /// Chinese, Japanese or Korean is spoken many terminals show them twice as wide.
  static let hasNarrowBlocks = hasNarrowBlocks(locale: locale)

  private static let locale = [variable("LC_ALL"), variable("LC_CTYPE"), variable("LANG")]
    .compactMap(\.self).first { !$0.isEmpty }

  static func hasNarrowBlocks(locale: String?) -> Bool {
    isUTF8(locale: locale)
      && !["ja", "ko", "zh"].contains { locale?.lowercased().hasPrefix($0) ?? false }
  }

  /// What curves are drawn with; nil without UTF-8.
  static let curveMarks: Sparkline.Marks? =
    hasNarrowBlocks ? .blocks : isUTF8(locale: locale) ? .braille : nil

  private static func isUTF8(locale: String?) -> Bool {
    (locale?.lowercased() ?? "").replacing("-", with: "").contains("utf8")
  }

  private static func variable(_ name: String) -> String? {
    ProcessInfo.processInfo.environment[name]
  }
}
