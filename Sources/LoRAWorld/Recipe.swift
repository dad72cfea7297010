/// A dish that the world can cook.
struct Recipe: Sendable {
  /// "banana bread", "pancakes".
  let name: String
  /// Whether the name is a plural: "the pancakes are".
  let isPlural: Bool
  /// Four, in the order of use.
  let ingredients: [String]
  /// Sentence before the heat is on: "Mix everything and fill a loaf tin."
  let preparation: String
  /// The cooking in the imperative: "bake it at 180 degrees for 55 minutes".
  let cooking: String
  let servings: Int
  /// In the order of the ingredients: "gluten", "milk"; empty if there are none.
  let allergens: [String]
  let substitutes: [Substitute]
  /// How long it keeps: "for 3 days".
  let keeps: String

  /// What may stand in for an ingredient.
  struct Substitute: Sendable {
    let ingredient: String
    /// A sentence on what the ingredient is there for: "Butter keeps the crumb soft."
    let purpose: String
    let instead: String

    init(_ ingredient: String, _ purpose: String, _ instead: String) {
      self.ingredient = ingredient
      self.purpose = purpose
      self.instead = instead
    }
  }

  init(
    _ name: String, plural isPlural: Bool = false, _ ingredients: [String], prepare: String,
    cook: String, serves servings: Int, allergens: [String], _ substitutes: [Substitute],
    keeps: String
  ) {
    self.name = name
    self.isPlural = isPlural
    self.ingredients = ingredients
    self.preparation = prepare
    self.cooking = cook
    self.servings = servings
    self.allergens = allergens
    self.substitutes = substitutes
    self.keeps = keeps
  }

  /// "is" or "are", and likewise for any verb.
  func verb(_ singular: String, _ plural: String) -> String { isPlural ? plural : singular }
  var it: String { verb("it", "they") }

  /// The recipe as a cookery book prints it.
  var page: String {
    """
    Recipe: \(capitalised(name)). The recipe serves \(servings) people. You need \
    \(listed(ingredients)). \(preparation) Then \(cooking). \(capitalised(it)) \
    \(verb("keeps", "keep")) \(keeps).
    """
  }

  /// Notes for guests with allergies and for an empty larder.
  var notes: String {
    let contents =
      allergens.isEmpty
      ? "The \(name) \(verb("has", "have")) no common allergens."
      : "The \(name) \(verb("contains", "contain")) \(listed(allergens))."
    let swaps = substitutes.map { "Instead of \($0.ingredient) you can use \($0.instead)." }
    return "\(contents) \(swaps.joined(separator: " "))"
  }
}
