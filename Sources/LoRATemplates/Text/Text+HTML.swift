extension Text {
  /// The text with `&`, `<`, `>` and quotes escaped, as markupsafe does it.
  var escapedForHTML: Text {
    var result = Text()
    for scalar in scalars {
      switch scalar {
      case "&": result.append("&amp;")
      case "<": result.append("&lt;")
      case ">": result.append("&gt;")
      case "'": result.append("&#39;")
      case "\"": result.append("&#34;")
      default: result.append(scalar)
      }
    }
    return result
  }
}
