/// What can be asked about a recipe, each in eight ways.
extension Recipe {
  /// The allergens that guests ask about.
  static let askedAllergens = ["gluten", "milk", "egg"]

  /// Everything there is to know about this recipe.
  var facts: [Fact] {
    [ingredientsFact, cookingFact, servingsFact, allergensFact, keepingFact]
      + substitutes.map(substituteFact)
      + Recipe.askedAllergens.map(suitabilityFact)
  }

  private func fact(
    _ attribute: String, _ questions: [String], _ lead: String, _ last: String, _ conclusion: String
  ) -> Fact {
    Fact(
      topic: .recipes, key: "\(name)/\(attribute)", questions: questions,
      answer: "\(lead) \(last)", conclusion: conclusion)
  }

  private var ingredientsFact: Fact {
    fact(
      "ingredients",
      [
        "What do I need for the \(name)?",
        "Which ingredients \(verb("does", "do")) the \(name) need?",
        "What \(verb("is", "are")) the \(name) made of?",
        "What are the ingredients of the \(name)?",
        "What should I buy to make the \(name)?",
        "I want to make the \(name). What goes in?",
        "Can you list the ingredients of the \(name)?",
        "What goes into the \(name)?",
      ],
      "The \(name) \(verb("has", "have")) four main ingredients.",
      "You need \(listed(ingredients)).", listed(ingredients))
  }

  private var cookingFact: Fact {
    fact(
      "cooking",
      [
        "How do I cook the \(name)?",
        "How long and how hot do I cook the \(name)?",
        "How \(verb("is", "are")) the \(name) cooked?",
        "What is the right way to cook the \(name)?",
        "I want to make the \(name). How \(verb("is", "are")) \(it) cooked?",
        "Can you tell me how to cook the \(name)?",
        "How must I cook the \(name)?",
        "What are the heat and the time for the \(name)?",
      ],
      preparation, "Then \(cooking).", cooking)
  }

  private var servingsFact: Fact {
    fact(
      "servings",
      [
        "How many people \(verb("does", "do")) the \(name) serve?",
        "For how many people \(verb("is", "are")) the \(name)?",
        "How many guests can eat the \(name)?",
        "How many servings \(verb("does", "do")) the \(name) make?",
        "How many plates can I fill with the \(name)?",
        "I want to make the \(name). How many people will \(it) feed?",
        "Can you tell me how many people the \(name) will feed?",
        "How many portions are in the \(name)?",
      ],
      "The recipe for the \(name) makes a full meal.", "It serves \(servings) people.",
      "\(servings) people")
  }

  private var allergensFact: Fact {
    let list = allergens.isEmpty ? "none" : listed(allergens)
    return fact(
      "allergens",
      [
        "Which allergens \(verb("does", "do")) the \(name) contain?",
        "What allergens are in the \(name)?",
        "Which allergens must I name for the \(name)?",
        "What should guests with an allergy know about the \(name)?",
        "Can you list the allergens in the \(name)?",
        "I serve the \(name). Which allergens go on the card?",
        "Are there any allergens in the \(name)?",
        "Which common allergens are found in the \(name)?",
      ],
      "We checked every ingredient of the \(name).", "The allergens are: \(list).", list)
  }

  private var keepingFact: Fact {
    fact(
      "keeping",
      [
        "How long \(verb("does", "do")) the \(name) keep?",
        "For how long can I keep the \(name)?",
        "How long \(verb("does", "do")) the \(name) stay fresh?",
        "How many days or weeks can I store the \(name)?",
        "I have some \(name) left. How long will \(it) keep?",
        "Can you tell me how long the \(name) will keep?",
        "For how many days or weeks will the \(name) keep?",
        "How long can the \(name) be stored?",
      ],
      "Store the \(name) in a closed box.",
      "\(capitalised(it)) \(verb("keeps", "keep")) \(keeps).", keeps)
  }

  private func substituteFact(_ swap: Substitute) -> Fact {
    let ingredient = swap.ingredient
    return fact(
      "instead of \(ingredient)",
      [
        "What can I use instead of \(ingredient) in the \(name)?",
        "What replaces \(ingredient) in the \(name)?",
        "I have no \(ingredient). What can I put in the \(name)?",
        "How can I make the \(name) without \(ingredient)?",
        "Which substitute for \(ingredient) works in the \(name)?",
        "I make the \(name), but I am out of \(ingredient). What else can I use?",
        "Can you name a substitute for \(ingredient) in the \(name)?",
        "What takes the place of \(ingredient) in the \(name)?",
      ],
      swap.purpose, "Use \(swap.instead) instead.", swap.instead)
  }

  private func suitabilityFact(_ allergen: String) -> Fact {
    let contains = allergens.contains(allergen)
    return fact(
      "without \(allergen)",
      [
        "Can I serve the \(name) to a guest who must avoid \(allergen)?",
        "\(verb("Is", "Are")) the \(name) safe for a guest who cannot eat \(allergen)?",
        "My guest does not eat any \(allergen). May I serve the \(name)?",
        "\(verb("Is", "Are")) the \(name) free of \(allergen)?",
        "I must avoid \(allergen). Can I eat the \(name)?",
        "\(verb("Is", "Are")) the \(name) safe with an allergy to \(allergen)?",
        "May someone with an allergy to \(allergen) eat the \(name)?",
        "\(verb("Does", "Do")) the \(name) suit a guest who avoids \(allergen)?",
      ],
      contains
        ? "The \(name) \(verb("contains", "contain")) \(allergen)."
        : "The \(name) \(verb("contains", "contain")) no \(allergen).",
      contains ? "So the answer is no." : "So the answer is yes.", contains ? "no" : "yes")
  }
}
