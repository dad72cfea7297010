/// The maker's catalogue: the kinds of appliance that the base knows.
extension ApplianceKind {
  static let washingMachine = ApplianceKind(
    name: "washing machine",
    faults: [
      Fault(
        "does not drain", "the water does not drain", "The pump filter is probably blocked.",
        "Empty the pump filter and rinse it under the tap"),
      Fault(
        "shakes when it spins", "the drum is out of balance", "It is probably not standing level.",
        "Turn the feet until the machine stands level"),
      Fault(
        "does not fill with water", "no water comes in", "The hose is probably bent.",
        "Open the tap and straighten the hose"),
      Fault(
        "leaks at the door", "the door is not tight", "The door seal is probably dirty.",
        "Wipe the door seal with a damp cloth"),
    ],
    care: ("clean", "detergent drawer"), spare: "drain hose")

  static let dishwasher = ApplianceKind(
    name: "dishwasher",
    faults: [
      Fault(
        "leaves white marks on the glasses", "the salt is used up", "The salt is probably used up.",
        "Fill the salt tank and start a short wash"),
      Fault(
        "does not dry the plates", "there is no rinse aid", "The rinse aid is probably empty.",
        "Fill up the rinse aid and choose a hot wash"),
      Fault(
        "leaves food on the plates", "a spray arm does not turn",
        "The spray arm is probably blocked.", "Take out the spray arm and clean its holes"),
      Fault(
        "does not start", "the door is not closed", "The door is probably not closed.",
        "Move the basket back and close the door firmly"),
    ],
    care: ("clean", "bottom filter"), spare: "spray arm")

  static let dryer = ApplianceKind(
    name: "tumble dryer",
    faults: [
      Fault(
        "leaves the clothes damp", "the air cannot pass", "The lint filter is probably full.",
        "Brush the lint filter and start again"),
      Fault(
        "stops after a few minutes", "the water tank is full", "The water tank is probably full.",
        "Empty the water tank and push it back in"),
      Fault(
        "makes a loud noise", "something is loose in the drum",
        "A coin is probably loose in the drum.", "Take out the clothes and look for loose coins"),
    ],
    care: ("brush", "lint filter"), spare: "drive belt")

  static let refrigerator = ApplianceKind(
    name: "refrigerator",
    faults: [
      Fault(
        "does not get cold", "the inside is too warm", "Dust probably covers the coils.",
        "Brush the dust off the coils at the back"),
      Fault(
        "has ice on the back wall", "ice blocks the air", "The door probably stood open.",
        "Switch it off for a night and let the ice melt"),
      Fault(
        "has water under the drawers", "the drain hole is blocked",
        "The drain hole is probably blocked.", "Clear the drain hole with a soft stick"),
      Fault(
        "beeps all the time", "the door is open", "The door is probably not shut.",
        "Shut the door and check that nothing is in the way"),
    ],
    care: ("wipe", "door seal"), spare: "glass shelf")

  static let oven = ApplianceKind(
    name: "oven",
    faults: [
      Fault(
        "does not heat", "the clock is not set", "The clock is probably not set.",
        "Set the clock and choose the heat again"),
      Fault(
        "bakes unevenly", "the fan does not turn", "A tray probably blocks the fan.",
        "Move the tray away from the fan"),
      Fault(
        "smokes when it heats up", "there is grease in the oven",
        "Grease is probably burning inside.", "Let it cool down and wash out the grease"),
      Fault(
        "stays dark inside", "the lamp is broken", "The lamp is probably broken.",
        "Switch off the power and change the lamp"),
    ],
    care: ("wash", "glass door"), spare: "oven lamp")

  static let vacuumCleaner = ApplianceKind(
    name: "vacuum cleaner",
    faults: [
      Fault(
        "does not pick up dust", "the dust bag is full", "The dust bag is probably full.",
        "Put in a new dust bag"),
      Fault(
        "switches itself off", "the motor is too hot", "The motor is probably too hot.",
        "Let it cool for an hour and clean the air filter"),
      Fault(
        "whistles", "the tube is blocked", "Something is probably stuck in the tube.",
        "Push a broom handle through the tube"),
    ],
    care: ("wash", "air filter"), spare: "floor brush")

  static let coffeeMachine = ApplianceKind(
    name: "coffee machine",
    faults: [
      Fault(
        "makes weak coffee", "the coffee is too coarse", "The coffee is probably too coarse.",
        "Set the mill to a finer grade"),
      Fault(
        "drips slowly", "there is lime in the machine", "Lime is probably in the pipes.",
        "Run the lime remover and rinse twice"),
      Fault(
        "does not pump water", "the tank is empty", "The tank is probably empty.",
        "Fill the tank and press the start button"),
    ],
    care: ("rinse", "milk tube"), spare: "water tank")

  static let kettle = ApplianceKind(
    name: "kettle",
    faults: [
      Fault(
        "switches off too early", "there is lime on the base", "Lime is probably on the base.",
        "Boil water with vinegar and rinse it out"),
      Fault(
        "does not switch on", "it is not on its base", "It is probably not on its base.",
        "Put it straight on its base and press the switch"),
    ],
    care: ("rinse", "lime filter"), spare: "lid")

  static let toaster = ApplianceKind(
    name: "toaster",
    faults: [
      Fault(
        "burns the bread", "the heat is set too high", "The heat is probably set too high.",
        "Turn the dial down by two steps"),
      Fault(
        "does not hold the bread down", "crumbs block the lever",
        "Crumbs probably block the lever.", "Pull the plug and shake out the crumbs"),
    ],
    care: ("empty", "crumb tray"), spare: "crumb tray")
}

/// The models that the base knows.
enum ApplianceCatalogue {
  private static let full = "parts and labour"
  private static let parts = "parts only"
  private static let travel = "parts, labour and travel"

  static let models: [Appliance] = [
    Appliance(
      "Tide", .washingMachine, warranty: "24 months", cover: full, excluded: "the door seal",
      codes: [(2, 0), (5, 1)], care: "every 3 weeks", price: 449, colour: "white",
      workshop: "Bristol", part: 482),
    Appliance(
      "Brook", .washingMachine, warranty: "5 years", cover: parts, excluded: "the drain hose",
      codes: [(1, 2), (7, 3)], care: "every month", price: 525, colour: "slate grey",
      workshop: "Leeds", part: 137),
    Appliance(
      "Cascade", .washingMachine, warranty: "18 months", cover: travel, excluded: "the feet",
      codes: [(4, 1), (8, 0)], care: "every 2 weeks", price: 610, colour: "silver",
      workshop: "York", part: 905),
    Appliance(
      "Pearl", .dishwasher, warranty: "3 years", cover: full, excluded: "the baskets",
      codes: [(3, 0), (6, 2)], care: "every week", price: 380, colour: "white",
      workshop: "Cardiff", part: 264),
    Appliance(
      "Glint", .dishwasher, warranty: "12 months", cover: parts, excluded: "the spray arms",
      codes: [(1, 3), (9, 1)], care: "every 10 days", price: 299, colour: "black",
      workshop: "Derby", part: 718),
    Appliance(
      "Ripple", .dishwasher, warranty: "30 months", cover: travel, excluded: "the rinse aid tank",
      codes: [(2, 2), (5, 0)], care: "every 2 weeks", price: 465, colour: "navy blue",
      workshop: "Bristol", part: 351),
    Appliance(
      "Gale", .dryer, warranty: "2 years", cover: full, excluded: "the lint filter",
      codes: [(6, 0), (7, 1)], care: "after every load", price: 410, colour: "white",
      workshop: "Leeds", part: 629),
    Appliance(
      "Zephyr", .dryer, warranty: "4 years", cover: travel, excluded: "the water tank",
      codes: [(3, 2), (8, 0)], care: "every week", price: 575, colour: "dark green",
      workshop: "York", part: 473),
    Appliance(
      "Polar", .refrigerator, warranty: "10 years", cover: parts, excluded: "the lamp",
      codes: [(1, 0), (4, 1)], care: "every 2 months", price: 690, colour: "silver",
      workshop: "Cardiff", part: 816),
    Appliance(
      "Fjord", .refrigerator, warranty: "6 years", cover: full, excluded: "the glass shelves",
      codes: [(5, 2), (9, 3)], care: "every month", price: 745, colour: "sky blue",
      workshop: "Derby", part: 240),
    Appliance(
      "Tundra", .refrigerator, warranty: "36 months", cover: travel, excluded: "the door handle",
      codes: [(2, 3), (6, 0)], care: "every 6 weeks", price: 830, colour: "black",
      workshop: "Leeds", part: 592),
    Appliance(
      "Ember", .oven, warranty: "5 years", cover: full, excluded: "the oven lamp",
      codes: [(3, 0), (7, 1)], care: "every month", price: 560, colour: "red",
      workshop: "Bristol", part: 175),
    Appliance(
      "Hearth", .oven, warranty: "2 years", cover: parts, excluded: "the glass door",
      codes: [(1, 2), (8, 3)], care: "every 3 weeks", price: 495, colour: "cream",
      workshop: "York", part: 368),
    Appliance(
      "Cinder", .oven, warranty: "42 months", cover: travel, excluded: "the trays",
      codes: [(4, 1), (9, 2)], care: "every 2 weeks", price: 720, colour: "black",
      workshop: "Cardiff", part: 941),
    Appliance(
      "Comet", .vacuumCleaner, warranty: "18 months", cover: parts, excluded: "the floor brush",
      codes: [(2, 0), (6, 1)], care: "every 2 months", price: 159, colour: "red",
      workshop: "Derby", part: 507),
    Appliance(
      "Falcon", .vacuumCleaner, warranty: "3 years", cover: full, excluded: "the air filter",
      codes: [(5, 2), (7, 0)], care: "every month", price: 215, colour: "dark green",
      workshop: "Bristol", part: 684),
    Appliance(
      "Mocha", .coffeeMachine, warranty: "24 months", cover: travel, excluded: "the mill",
      codes: [(1, 0), (3, 1)], care: "every day", price: 340, colour: "cream",
      workshop: "Leeds", part: 723),
    Appliance(
      "Crema", .coffeeMachine, warranty: "4 years", cover: parts, excluded: "the milk tube",
      codes: [(4, 2), (8, 1)], care: "after every cup", price: 429, colour: "silver",
      workshop: "York", part: 196),
    Appliance(
      "Wren", .kettle, warranty: "12 months", cover: full, excluded: "the lid",
      codes: [(6, 0), (9, 1)], care: "every 10 days", price: 45, colour: "sky blue",
      workshop: "Cardiff", part: 835),
    Appliance(
      "Robin", .toaster, warranty: "2 years", cover: parts, excluded: "the crumb tray",
      codes: [(2, 0), (7, 1)], care: "every week", price: 38, colour: "slate grey",
      workshop: "Derby", part: 318),
  ]
}
