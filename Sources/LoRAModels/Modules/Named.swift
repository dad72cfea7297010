/// Values with names, in an order: how a module lists its children and parameters.
///
/// ```swift
/// var children: Named<any Module> { ["q_proj": query, "k_proj": key] + .list("layers", layers) }
/// ```
public struct Named<Element>: RandomAccessCollection, ExpressibleByDictionaryLiteral {
  /// The pairs, in order.
  public var elements: [(name: String, value: Element)]

  /// Creates the collection of `elements`.
  public init(_ elements: [(name: String, value: Element)] = []) { self.elements = elements }

  /// Creates the collection of these pairs, in the order they are written in.
  public init(dictionaryLiteral elements: (String, Element)...) {
    self.elements = elements.map { (name: $0.0, value: $0.1) }
  }

  /// The position of the first pair.
  public var startIndex: Int { 0 }
  /// The number of pairs.
  public var endIndex: Int { elements.count }
  /// The pair at `position`.
  public subscript(position: Int) -> (name: String, value: Element) { elements[position] }

  /// The value called `name`, if there is one.
  public subscript(name: String) -> Element? { elements.first { $0.name == name }?.value }

  /// The pairs of `a` and then those of `b`.
  public static func + (a: Named, b: Named) -> Named { Named(a.elements + b.elements) }

  /// The elements of an array as `name.0`, `name.1`, ...
  public static func list(_ name: String, _ values: [Element]) -> Named {
    Named(values.enumerated().map { (name: "\(name).\($0)", value: $1) })
  }

  /// The value under `name`, or nothing if there is none: for optional children.
  public static func optional(_ name: String, _ value: Element?) -> Named {
    Named(value.map { [(name: name, value: $0)] } ?? [])
  }
}

extension Named: Sendable where Element: Sendable {}
