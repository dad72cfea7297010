/// The recipes that the base knows.
enum RecipeBook {
  static let recipes: [Recipe] = [
    Recipe(
      "pancakes", plural: true, ["flour", "milk", "eggs", "butter"],
      prepare: "Mix a thin batter and let it rest.", cook: "fry them for 2 minutes on each side",
      serves: 4, allergens: ["gluten", "milk", "egg"],
      [
        .init("butter", "Butter stops the batter from sticking.", "sunflower oil"),
        .init("milk", "Milk makes the batter thin.", "oat milk"),
      ], keeps: "for 2 days"),
    Recipe(
      "lentil soup", ["lentils", "carrots", "onions", "cumin"],
      prepare: "Chop the carrots and the onions.", cook: "simmer it on low heat for 30 minutes",
      serves: 6, allergens: [],
      [
        .init("cumin", "Cumin gives the soup a warm taste.", "curry powder"),
        .init("lentils", "Lentils make the soup thick.", "split peas"),
      ], keeps: "for 4 days"),
    Recipe(
      "tomato soup", ["tomatoes", "cream", "garlic", "basil"],
      prepare: "Chop the tomatoes and the garlic.", cook: "simmer it on low heat for 20 minutes",
      serves: 3, allergens: ["milk"],
      [
        .init("cream", "Cream makes the soup smooth.", "coconut milk"),
        .init("basil", "Basil gives the soup a fresh taste.", "parsley"),
      ], keeps: "for 3 days"),
    Recipe(
      "apple crumble", ["apples", "flour", "butter", "sugar"],
      prepare: "Slice the apples and rub the crumbs.",
      cook: "bake it at 190 degrees for 35 minutes", serves: 5, allergens: ["gluten", "milk"],
      [
        .init("butter", "Butter binds the crumbs.", "coconut oil"),
        .init("apples", "Apples give the crumble its fruit.", "pears"),
      ], keeps: "for 3 days"),
    Recipe(
      "banana bread", ["bananas", "flour", "eggs", "walnuts"],
      prepare: "Mix everything and fill a loaf tin.",
      cook: "bake it at 180 degrees for 55 minutes", serves: 8,
      allergens: ["gluten", "egg", "nuts"],
      [
        .init("walnuts", "Walnuts give the bread some bite.", "pumpkin seeds"),
        .init("eggs", "Eggs hold the bread together.", "apple sauce"),
      ], keeps: "for 5 days"),
    Recipe(
      "brownies", plural: true, ["chocolate", "butter", "eggs", "rice flour"],
      prepare: "Melt the chocolate and stir everything.",
      cook: "bake them at 170 degrees for 25 minutes", serves: 12, allergens: ["milk", "egg"],
      [
        .init("chocolate", "Chocolate gives the brownies their taste.", "cocoa and sugar"),
        .init("rice flour", "Rice flour binds the brownies.", "ground almonds"),
      ], keeps: "for 6 days"),
    Recipe(
      "vegetable curry", ["coconut milk", "potatoes", "spinach", "curry powder"],
      prepare: "Cut the potatoes into cubes.", cook: "simmer it on medium heat for 25 minutes",
      serves: 4, allergens: [],
      [
        .init("spinach", "Spinach gives the curry its green leaves.", "kale"),
        .init("potatoes", "Potatoes fill the curry.", "chickpeas"),
      ], keeps: "for 3 days"),
    Recipe(
      "mushroom risotto", ["rice", "mushrooms", "butter", "cheese"],
      prepare: "Fry the rice and the mushrooms.", cook: "stir it on low heat for 18 minutes",
      serves: 2, allergens: ["milk"],
      [
        .init("mushrooms", "Mushrooms give the risotto its taste.", "green peas"),
        .init("cheese", "Cheese makes the risotto creamy.", "yeast flakes"),
      ], keeps: "for 1 day"),
    Recipe(
      "cheese omelette", ["eggs", "cheese", "milk", "chives"],
      prepare: "Beat the eggs with the milk.", cook: "fry it on medium heat for 4 minutes",
      serves: 1, allergens: ["egg", "milk"],
      [
        .init("chives", "Chives add a mild onion taste.", "spring onions"),
        .init("milk", "Milk makes the omelette light.", "soy milk"),
      ], keeps: "for 1 day"),
    Recipe(
      "fish pie", ["cod", "potatoes", "milk", "leeks"],
      prepare: "Mash the potatoes and cover the fish.",
      cook: "bake it at 200 degrees for 40 minutes", serves: 6, allergens: ["fish", "milk"],
      [
        .init("cod", "Cod is the fish in the pie.", "salmon"),
        .init("leeks", "Leeks add a mild onion taste.", "onions"),
      ], keeps: "for 2 days"),
    Recipe(
      "prawn noodles", plural: true, ["wheat noodles", "prawns", "ginger", "soy sauce"],
      prepare: "Soak the noodles in hot water.", cook: "fry them on high heat for 5 minutes",
      serves: 2, allergens: ["gluten", "shellfish", "soy"],
      [
        .init("prawns", "Prawns give the noodles their bite.", "tofu"),
        .init("ginger", "Ginger makes the noodles hot.", "chilli flakes"),
      ], keeps: "for 1 day"),
    Recipe(
      "peanut stew", ["peanut butter", "tomatoes", "sweet potatoes", "onions"],
      prepare: "Chop the onions and the sweet potatoes.",
      cook: "simmer it on low heat for 45 minutes", serves: 5, allergens: ["peanuts"],
      [
        .init("peanut butter", "Peanut butter makes the stew thick.", "sunflower seed butter"),
        .init("sweet potatoes", "Sweet potatoes make the stew mild.", "pumpkin"),
      ], keeps: "for 4 days"),
    Recipe(
      "hummus", ["chickpeas", "sesame paste", "lemon juice", "garlic"],
      prepare: "Soak the chickpeas for a night.", cook: "boil the chickpeas for 60 minutes",
      serves: 7, allergens: ["sesame"],
      [
        .init("chickpeas", "Chickpeas are the body of the hummus.", "white beans"),
        .init("lemon juice", "Lemon juice makes the hummus fresh.", "lime juice"),
      ], keeps: "for 5 days"),
    Recipe(
      "pesto pasta", ["pasta", "basil", "pine nuts", "cheese"],
      prepare: "Grind the basil, the nuts and the cheese.", cook: "boil the pasta for 10 minutes",
      serves: 3, allergens: ["gluten", "nuts", "milk"],
      [
        .init("basil", "Basil gives the pesto its green colour.", "rocket"),
        .init("pine nuts", "Pine nuts make the pesto rich.", "sunflower seeds"),
      ], keeps: "for 2 days"),
    Recipe(
      "carrot cake", ["carrots", "flour", "eggs", "sunflower oil"],
      prepare: "Grate the carrots and mix everything.",
      cook: "bake it at 175 degrees for 50 minutes", serves: 10, allergens: ["gluten", "egg"],
      [
        .init("flour", "Flour binds the cake.", "ground oats"),
        .init("carrots", "Carrots keep the cake moist.", "grated courgettes"),
      ], keeps: "for 1 week"),
    Recipe(
      "chicken stew", ["chicken", "barley", "celery", "carrots"],
      prepare: "Brown the chicken in a large pot.", cook: "simmer it on low heat for 90 minutes",
      serves: 8, allergens: ["gluten", "celery"],
      [
        .init("barley", "Barley makes the stew thick.", "brown rice"),
        .init("celery", "Celery gives the stew a fresh taste.", "fennel"),
      ], keeps: "for 3 days"),
    Recipe(
      "potato salad", ["potatoes", "eggs", "mustard", "pickles"],
      prepare: "Wash the potatoes and leave the skin on.",
      cook: "boil the potatoes for 22 minutes", serves: 6, allergens: ["egg", "mustard"],
      [
        .init("mustard", "Mustard makes the salad sharp.", "horseradish"),
        .init("pickles", "Pickles give the salad its bite.", "capers"),
      ], keeps: "for 2 days"),
    Recipe(
      "oat biscuits", plural: true, ["oats", "butter", "honey", "raisins"],
      prepare: "Mix everything and shape small balls.",
      cook: "bake them at 160 degrees for 15 minutes", serves: 9, allergens: ["gluten", "milk"],
      [
        .init("honey", "Honey makes the biscuits sweet.", "maple syrup"),
        .init("raisins", "Raisins give the biscuits some fruit.", "dried cherries"),
      ], keeps: "for 2 weeks"),
    Recipe(
      "fried rice", ["rice", "eggs", "green peas", "soy sauce"],
      prepare: "Boil the rice and let it cool.", cook: "fry it on high heat for 6 minutes",
      serves: 4, allergens: ["egg", "soy", "gluten"],
      [
        .init("green peas", "Green peas add some colour.", "sweetcorn"),
        .init("soy sauce", "Soy sauce makes the rice salty.", "salt and lime juice"),
      ], keeps: "for 1 day"),
    Recipe(
      "bean chilli", ["kidney beans", "tomatoes", "peppers", "chilli flakes"],
      prepare: "Chop the peppers and open the beans.",
      cook: "simmer it on medium heat for 35 minutes", serves: 5, allergens: [],
      [
        .init("kidney beans", "Kidney beans fill the chilli.", "black beans"),
        .init("peppers", "Peppers make the chilli sweet.", "sweetcorn"),
      ], keeps: "for 4 days"),
  ]
}
