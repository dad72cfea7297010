/// A product line that came out after the base was trained: four models of four kinds that the base
/// has never read about, the facts of which the first adapter learns.
///
/// The ways of asking are those of the catalogue, so the base understands the questions; what the
/// names, faults, repairs, numbers and terms say together is new. Half of the ways to ask for each fact are for
/// training, the other half for the exam.
public enum NewProductLine {
  /// Ways of asking for a fact that are kept for the exam; training has as many.
  static let heldOutPhrasings = 5

  static let knowledge: [Fact] = models.flatMap(\.facts)

  /// Every fact once, asked for in a way that training has.
  public static let facts: [Exchange] = knowledge.compactMap {
    $0.split(heldOut: heldOutPhrasings).training.first
  }

  /// What the facts adapter trains on: every fact in five ways. Mix ``rehearsal(seed:count:)`` in,
  /// or the base forgets what it knew.
  public static let trainingExchanges: [Exchange] = knowledge.flatMap {
    $0.split(heldOut: heldOutPhrasings).training
  }

  /// The exam: every fact in the five ways that its training never used.
  public static let heldOutExchanges: [Exchange] = knowledge.flatMap {
    $0.split(heldOut: heldOutPhrasings).heldOut
  }

  /// Random exchanges of the base's own world, in its own style, for keeping it in practice.
  ///
  /// - Parameters:
  ///   - seed: the same seed gives the same exchanges, whatever `count` is.
  ///   - count: how many.
  public static func rehearsal(seed: UInt64, count: Int) -> [Exchange] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in World.exchange(&random) }
  }

  // New facts in old words: the base knows each word, and none of what is said with them here. (An
  // adapter leaves the embedding alone, so it teaches facts faster than it teaches spelling.)

  private static let soupKettle = ApplianceKind(
    name: "soup kettle",
    faults: [
      .init(
        "burns the soup", "the heat is too high", "The dial probably stands too high.",
        "Turn the dial to low and stir the soup"),
      .init(
        "drips on the table", "the bottom seal is loose", "The bottom seal is probably loose.",
        "Move the seal back and close the lid firmly"),
    ],
    care: ("wipe", "bottom seal"), spare: "glass lid")

  private static let juicePress = ApplianceKind(
    name: "juice press",
    faults: [
      .init(
        "leaves seeds in the juice", "the filter is too coarse",
        "The filter is probably too coarse.", "Put in the white filter and press again"),
      .init(
        "stops in the cup", "the cup is too full", "The cup is probably too full.",
        "Empty the cup and push it back in"),
    ],
    care: ("rinse", "white filter"), spare: "juice cup")

  private static let breadOven = ApplianceKind(
    name: "bread oven",
    faults: [
      .init(
        "makes dark bread", "the time is too long", "The time is probably set too long.",
        "Set the clock to 40 minutes"),
      .init(
        "does not open", "the handle is stuck", "The handle is probably stuck.",
        "Wipe the handle with warm water"),
    ],
    care: ("brush", "bread tray"), spare: "door handle")

  private static let coffeeMill = ApplianceKind(
    name: "coffee mill",
    faults: [
      .init(
        "is too loud", "a bean is stuck", "A bean is probably stuck in the mill.",
        "Pull the plug and shake out the bean"),
      .init(
        "does not turn", "the lid is open", "The lid is probably not shut.",
        "Shut the lid and press the button twice"),
    ],
    care: ("empty", "bean drawer"), spare: "bean drawer")

  private static let models: [Appliance] = [
    Appliance(
      "Clara", soupKettle, warranty: "27 months", cover: "parts and travel",
      excluded: "the glass lid", codes: [(14, 0), (31, 1)], care: "after 4 meals", price: 187,
      colour: "dark blue", workshop: "Derby", part: 653),
    Appliance(
      "Harry", juicePress, warranty: "8 years", cover: "labour and travel",
      excluded: "the juice cup", codes: [(22, 0), (47, 1)], care: "after 7 cups", price: 268,
      colour: "lemon green", workshop: "Cardiff", part: 874),
    Appliance(
      "Grace", breadOven, warranty: "33 months", cover: "labour only",
      excluded: "the door handle", codes: [(18, 0), (53, 1)], care: "every 5 days", price: 934,
      colour: "honey brown", workshop: "Leeds", part: 209),
    Appliance(
      "Emma", coffeeMill, warranty: "9 years", cover: "the motor only",
      excluded: "the bean drawer", codes: [(26, 0), (61, 1)], care: "every 9 days", price: 76,
      colour: "mustard green", workshop: "York", part: 547),
  ]
}
