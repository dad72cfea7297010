/// An HTML page that needs nothing else: no script, no picture, no font, no network.
///
/// It follows the reader's choice of light or dark, and is read on a phone and on paper. What is put into it
/// as HTML must have been escaped, see `htmlEscaped`.
package struct Page {
  /// What it is about, as text.
  private let title: String
  /// What stands below the title, as text.
  private let subtitle: String
  private var parts: [String] = []

  /// Creates a page with a title and a line below it, both texts.
  package init(title: String, subtitle: String) {
    self.title = title
    self.subtitle = subtitle
  }

  /// Adds HTML; nothing of an empty text.
  package mutating func add(_ html: String) {
    if !html.isEmpty { parts.append(html) }
  }

  /// Adds HTML under a heading; nothing of an empty text.
  package mutating func add(_ html: String, under heading: String) {
    if !html.isEmpty { parts.append("<h2>\(heading.htmlEscaped)</h2>\n\(html)") }
  }

  /// The page. `generator` says what made it, and tells one kind of page from another.
  package func html(generator: String) -> String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="generator" content="\(generator.htmlEscaped)">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>\(title.htmlEscaped)</title>
    <style>
    \(Self.style)
    </style>
    </head>
    <body>
    <main>
    <h1>\(title.htmlEscaped)</h1>
    <p class="path">\(subtitle.htmlEscaped)</p>
    \(parts.joined(separator: "\n"))
    </main>
    </body>
    </html>

    """
  }
}

// MARK: - Parts

extension Page {
  /// Numbers worth a large type, each with what it is; both texts.
  package static func tiles(_ tiles: [(name: String, value: String)]) -> String {
    "<div class=\"tiles\">"
      + tiles.map {
        "<div><b>\($0.value.htmlEscaped)</b><span>\($0.name.htmlEscaped)</span></div>"
      }
      .joined() + "</div>"
  }

  /// Names and values, one a line, all texts.
  package static func table(_ rows: [(name: String, value: String)]) -> String {
    guard !rows.isEmpty else { return "" }
    return "<table class=\"pairs\">\n"
      + rows.map {
        "<tr><th>\($0.name.htmlEscaped)</th><td>\($0.value.htmlEscaped)</td></tr>"
      }.joined(separator: "\n") + "\n</table>"
  }

  /// Texts, one a line.
  package static func list(_ texts: [String]) -> String {
    guard !texts.isEmpty else { return "" }
    return "<ul>" + texts.map { "<li>\($0.htmlEscaped)</li>" }.joined() + "</ul>"
  }
}
