// The Swift of README.md and of the articles, as compiled and run code.
// DocumentationTests compares the texts: change both.

import LoRAKit

/// README.md.
func readme() async throws {
  /// Teaches the model at `path` one answer, and asks it with the adapter and without.
  func teach(_ path: String) async throws {
    let pretrained = try PretrainedModel(path: path)  // a Hugging Face directory or a .gguf file
    let (model, tokenizer) = (try pretrained.languageModel, try pretrained.tokenizer())
    let question = "Which light blinks?"

    let pairs = [PromptCompletion(prompt: question, completion: " The filter light.")]
    let data = try TokenDataSet(pairs: pairs, tokenizer: tokenizer, sequenceLength: 256)
    try model.inject(LoRA(rank: 8, alpha: 16), named: "support")
    let options = TrainingOptions(duration: .epochs(20))
    let trainer = try Trainer(model, training: .adapter("support"), on: data, options: options)
    try await trainer.run { step in
      print("step \(step.step) of \(step.stepCount), loss \(step.loss)")
      return .continue
    }
    try model.saveAdapter("support", to: "support-adapter")  // a directory that PEFT loads

    let generation = GenerationOptions(maximumTokens: 40, stopTokens: pretrained.stopTokens)
    let adapted = try model.generateText(after: question, tokenizer: tokenizer, options: generation)
    let base = try model.generateText(
      after: question, tokenizer: tokenizer, options: generation, adapters: [:])  // switched off
    print("adapted:", adapted)
    print("base:", base)
  }

  try await teach("../lora-kit/Sources/LoRAWorld/Base")
}

/// GettingStarted.md.
func gettingStarted() async throws {
  let pretrained = try PretrainedModel(path: "SmolLM2-135M")
  let model = try pretrained.languageModel
  let tokenizer = try pretrained.tokenizer()

  let pairs = [
    PromptCompletion(prompt: "Which light blinks?", completion: " The filter light."),
    PromptCompletion(prompt: "How long is the warranty?", completion: " Four years."),
  ]
  let data = try TokenDataSet(pairs: pairs, tokenizer: tokenizer, sequenceLength: 256)

  let report = try model.inject(LoRA(rank: 8, alpha: 16), named: "support", into: .allLinear)
  print("\(report.parameterCount) numbers to train in \(report.layers.count) layers")

  let options = TrainingOptions(
    duration: .epochs(20), batchSize: 2, learningRate: 2e-3, schedule: .cosine, warmupSteps: 2)
  let trainer = try Trainer(model, training: .adapter("support"), on: data, options: options)
  let result = try await trainer.run { step in
    print("step \(step.step) of \(step.stepCount): loss \(step.loss)")
    return step.loss < 0.01 ? .stop : .continue
  }

  var run = try TrainingRun(trainer)
  while let step = try run.step() {
    if step.step.isMultiple(of: 10) { try run.state().save(to: "run.safetensors") }
  }
  try await trainer.run(from: TrainingState(path: "run.safetensors"))

  try model.saveAdapter("support", to: "support-adapter")

  let another = try PretrainedModel(path: "SmolLM2-135M").languageModel
  try another.loadAdapter(from: "support-adapter", named: "support")

  let question = "How long is the warranty?"
  let generation = GenerationOptions(maximumTokens: 40, stopTokens: pretrained.stopTokens)
  let answer = try model.text(after: question, tokenizer: tokenizer, options: generation)
  for try await piece in answer { print(piece, terminator: "") }

  let base = try model.generateText(
    after: question, tokenizer: tokenizer, options: generation, adapters: [:])
  let half = try model.generateText(
    after: question, tokenizer: tokenizer, options: generation, adapters: ["support": 0.5])
  let evaluation = try model.withAdapters(["support": 1]) { try model.evaluate(on: data) }

  try model.disableAdapters()
  try model.enableAdapters(["support": 1])
  try model.setStrength(0.7, of: "support")

  try model.mergeAdapters(["support": 1])
  try model.save(to: "merged-model", type: .bfloat16)
  try model.unmergeAdapters()
  try model.detach("support")

  _ = (result, base, half, evaluation)
}

/// Numerics.md.
func numerics(model: any PretrainedLanguageModel, tokens: Tensor) throws {
  let before = model(tokens).value
  try model.inject(LoRA(), named: "a")
  try model.mergeAdapters(["a": 1])
  try model.unmergeAdapters()
  try model.disableAdapters()
  precondition(model(tokens).value == before)  // equality of tensors compares bits
}

/// WritingALayer.md: an operation with a backward step of its own.
func cubed(_ x: Variable) -> Variable {
  let value = x.value
  let square = value * value
  return .record(square * value, inputs: [x]) { dy, inputs in
    inputs.add((dy * square).scaled(by: 3), to: 0)
  }
}

/// Prints nothing: what a random model says is no sight.
private func print(_ items: Any..., terminator: String = "\n") {}

/// The article "Adapters as parts".
func adaptersAsParts(_ tokens: Tensor, _ newVersion: AdapterDescription) throws {
  let pretrained = try PretrainedModel(path: "SmolLM2-135M")
  let model = try pretrained.languageModel
  let prompt = try pretrained.tokenizer().encodePrompt("Hello")
  let options = GenerationOptions(maximumTokens: 40)

  let style = try AdapterFile(path: "adapters/style")  // PEFT, MLX, GGUF, kohya, diffusers, ...
  print(style.format, style.description.layers.count)
  let notes = try style.write(
    as: .gguf, to: "style.gguf", options: .init(basePath: "SmolLM2-135M")
  ).notes

  try model.attach(style.description, named: "style", enabled: false)
  let support = try model.loadAdapter(
    from: "adapters/support", named: "support", enabled: false)

  let answer = try model.withAdapters(["support": 1, "style": 0.4]) {
    try model.generate(after: prompt, options: options)
  }

  try model.swapAdapter("support", for: newVersion)

  let logits = try model.withAdapters(perItem: [["support": 1], [:], ["style": 0.5]]) {
    model(tokens)
  }

  let batch = GenerationBatch(model)
  let first = try batch.add(GenerationRequest(prompt: prompt, adapters: ["support": 1]))
  try batch.add(GenerationRequest(prompt: prompt, adapters: ["style": 1]))
  while !batch.isFinished {
    for (id, token) in try batch.step() where id == first { print(token ?? -1) }
  }

  let sum = try AdapterCombination(.cat).combine([
    .init(style.description, weight: 0.4, name: "style"),
    .init(support.description, name: "support"),
  ])
  let small = try sum.reduced(to: .energy(0.99)).adapter
  try model.attach(small, named: "both")

  try model.mergeAdapters(["support": 1])
  try model.unmergeAdapters()  // the base's own bits
  _ = (notes, answer, logits)
}

/// ClassifyingTexts.md, labels of words.
func classifyingWords() async throws {
  let texts = try TaggedText.read("train.conll")
  let tags = try LabelSet(of: texts, file: "train.conll")
  let pretrained = try PretrainedModel(path: "MiniLM", classifying: tags.names, of: .tokens)
  let model = try pretrained.tokenClassifier
  let recipe = pretrained.trainingHead(
    PEFTAdapterConfiguration(rank: 8, alpha: 16, targets: .allLinear))
  try model.inject(recipe, named: "names")
  let (data, _) = try TaggedDataSet.encoding(
    texts, labels: tags, tokenizer: pretrained.tokenizer(), longest: 128)
  try await Trainer(model, training: .adapter("names"), on: data).run()
  let evaluation = try model.evaluate(on: data)  // on held-out data in earnest
  print(evaluation.accuracy, evaluation.entities?.f1 ?? 0)
}

/// ClassifyingTexts.md.
func classifyingTexts() async throws {
  let texts = try LabelledText.read("data/train.jsonl")
  let labels = try LabelSet(of: texts, file: "data/train.jsonl")
  let pretrained = try PretrainedModel(path: "MiniLM", classifying: labels.names)
  let model = try pretrained.sequenceClassifier
  let recipe = pretrained.trainingHead(
    PEFTAdapterConfiguration(rank: 8, alpha: 16, targets: .allLinear))
  try model.inject(recipe, named: "intents")
  let (data, _) = try LabelledDataSet.encoding(
    texts, labels: labels, tokenizer: pretrained.tokenizer(), longest: 128)
  var options = TrainingOptions(duration: .epochs(3), batchSize: 32, learningRate: 2e-3)
  options.groupsByLength = true
  try await Trainer(model, training: .adapter("intents"), on: data, options: options).run()
}

/// ChatTemplates.md.
func chatTemplates(of model: String) throws -> String {
  let templates = try ChatTemplates(path: model)  // a folder or a .gguf file
  let conversation = Conversation(
    messages: [
      ["role": "system", "content": "Answer in one sentence."],
      ["role": "user", "content": "Which light blinks?"],
    ],
    variables: ["enable_thinking": false])
  let template = try templates.template(hasTools: conversation.tools != nil)
  let prompt = try template.render(conversation).text
  return prompt
}

/// Chatting.md.
func chat(with pretrained: PretrainedModel) throws {
  let options = GenerationOptions(maximumTokens: 200)
  let chat = try ChatSession(pretrained, system: "Answer in one sentence.", options: options)
  chat.adapters = ["support": 1]
  let answer = try chat.answer(to: "Which light blinks?")
  while let piece = try answer.next() { print(piece, terminator: "") }

  chat.adapters = ["support": 0.7, "polite": 1]  // from the next answer on
  let again = try chat.answerAgain()  // in the place of the first
  while let piece = try again?.next() { print(piece, terminator: "") }
  let base = try chat.text(answering: "And the other one?", under: [:])?.rest()  // only asked
  print(base ?? "", chat.messages.count)
}

/// ChatTemplates.md, which part the assistant wrote.
func masks(
  of example: Conversation, template: ChatTemplate, tokenizer: any Tokenizer
) throws -> [Bool] {
  let masked = try template.renderMasked(example)
  let encoding = try tokenizer.encode(masked)  // ids, and isAssistant of each
  return encoding.isAssistant
}

/// TrainingOnChats.md.
func trainingOnChats(_ pretrained: PretrainedModel) throws -> (TokenDataSet, [Int]) {
  let reader = try DataReader(for: pretrained)
  let (data, report) = try reader.read("chats.jsonl")
  for note in report.notes { print(note) }
  let format = try pretrained.chatFormat()
  let prompt = try format.prompt(Conversation(messages: [["role": "user", "content": "Hello"]]))
  return (data, prompt)
}

/// CheckingData.md.
struct Shouting: DataDetector {
  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) {
    for turn in example.answers where turn.text == turn.text.uppercased() {
      log.add(.repetition, in: example, "it is shouted")
    }
  }
}

/// FindingSettings.md.
func findingSettings(
  _ model: any PretrainedLanguageModel, _ train: TokenDataSet, _ validation: TokenDataSet
) throws {
  var search = try AutoLoRA(model, on: train, measuredOn: validation, seconds: 600)
  search.space.methods = ["lora"]
  search.folder = "support-search"  // so that it can go on
  let record = try search.run { print($0.best?.score.value ?? 0) }
  try model.saveAdapter("default", to: "support")
  print(record.trials.count)
}

/// SeeingATraining.md.
func seeingATraining(
  _ model: any PretrainedLanguageModel, _ trainer: Trainer<TokenDataSet>, _ data: TokenDataSet,
  _ tokenizer: any Tokenizer
) throws -> String {
  var report = TrainingReport(title: "Support answers")
  report.data = [DataSummary(data, source: "questions.jsonl")]
  var run = try TrainingRun(trainer)
  while let step = try run.step() { report.history.add(.step(step)) }
  report.examples = try model.exampleLosses(of: data, tokenizer: tokenizer, mostTokens: 20_000)
  let html = report.html()
  return html
}

/// WhatAdaptersSay.md.
func whatAdaptersSay(_ pretrained: PretrainedModel, _ trainer: Trainer<TokenDataSet>) throws {
  let adapter = try AdapterFile(path: "support")
  if let record = adapter.record {
    print(record.base.name ?? "", record.result("eval_nll_after") ?? 0)
  }
  var record = AdapterRecord(
    making: .training, software: "my program 1.0", base: try pretrained.recordOfBase, task: "text")
  record.data = [try .init(use: "train", path: "support.jsonl", license: "cc-by-4.0")]
  record.settings = trainer.recordOfSettings
  try pretrained.model.saveAdapter("support", to: "support", record: record)
}
