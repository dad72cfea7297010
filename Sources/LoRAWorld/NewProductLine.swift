/// A product line that came out after the base was trained: five models of five kinds that the base
/// has never read about, the facts of which the first adapter learns.
///
/// The ways of asking are those of the catalogue, so the base understands the questions; the names,
/// faults, repairs, numbers and terms are new. Half of the ways to ask for each fact are for
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

  private static let airFryer = ApplianceKind(
    name: "air fryer",
    faults: [
      .init(
        "leaves chips soft", "the basket is too full", "There are probably too many chips in it.",
        "Take out half of the food and shake the basket"),
      .init(
        "smells of plastic", "the coating is new", "It has probably never been used.",
        "Run it empty for 20 minutes with a slice of lemon"),
    ],
    care: ("wash", "basket"), spare: "rubber grip")

  private static let dehumidifier = ApplianceKind(
    name: "dehumidifier",
    faults: [
      .init(
        "collects no water", "the room is too cold", "The room is probably below 15 degrees.",
        "Warm the room and wait for an hour"),
      .init(
        "blinks blue", "the float is stuck", "The float is probably stuck.",
        "Lift the float with a finger and let it drop"),
    ],
    care: ("dust", "air grille"), spare: "carbon mat")

  private static let breadMaker = ApplianceKind(
    name: "bread maker",
    faults: [
      .init(
        "makes flat loaves", "the yeast is too old", "The yeast is probably too old.",
        "Buy fresh yeast and use warm water"),
      .init(
        "does not knead", "the paddle is not locked", "The paddle is probably loose.",
        "Press the paddle down until it clicks"),
    ],
    care: ("oil", "paddle shaft"), spare: "kneading paddle")

  private static let robotMower = ApplianceKind(
    name: "robot mower",
    faults: [
      .init(
        "drives in circles", "one wheel is slipping", "Wet grass probably sticks to a wheel.",
        "Scrape the grass off both wheels"),
      .init(
        "cannot find its base", "the guide wire is cut", "The guide wire is probably cut.",
        "Join the ends of the guide wire with a clamp"),
    ],
    care: ("sharpen", "blades"), spare: "rain sensor")

  private static let iceMaker = ApplianceKind(
    name: "ice maker",
    faults: [
      .init(
        "makes cloudy ice", "the water is too hard", "The water is probably too hard.",
        "Change the softener and throw the first tray away"),
      .init(
        "freezes solid", "the tray does not tip", "The tray is probably frozen to its hinge.",
        "Thaw the hinge with a warm towel"),
    ],
    care: ("descale", "water line"), spare: "ice scoop")

  private static let models: [Appliance] = [
    Appliance(
      "Quillon", airFryer, warranty: "27 months", cover: "parts and postage",
      excluded: "the basket coating", codes: [(14, 0), (31, 1)], care: "after 4 meals", price: 187,
      colour: "copper", workshop: "Exeter", part: 653),
    Appliance(
      "Marlow", dehumidifier, warranty: "8 years", cover: "leaks and rust",
      excluded: "the carbon mat", codes: [(22, 0), (47, 1)], care: "on the first of May",
      price: 268, colour: "pale lilac", workshop: "Norwich", part: 874),
    Appliance(
      "Sorrel", breadMaker, warranty: "500 loaves", cover: "the heater and the motor",
      excluded: "the seal of the lid", codes: [(18, 0), (53, 1)], care: "after 40 loaves",
      price: 134, colour: "mustard yellow", workshop: "Dundee", part: 209),
    Appliance(
      "Badger", robotMower, warranty: "7 summers", cover: "the battery and the wheels",
      excluded: "the blades", codes: [(26, 0), (61, 1)], care: "every 9 days", price: 976,
      colour: "rust orange", workshop: "Swansea", part: 547),
    Appliance(
      "Icicle", iceMaker, warranty: "33 months", cover: "the pump and the cooler",
      excluded: "the water line", codes: [(39, 0), (72, 1)], care: "after 90 trays", price: 351,
      colour: "ice blue", workshop: "Belfast", part: 460),
  ]
}
