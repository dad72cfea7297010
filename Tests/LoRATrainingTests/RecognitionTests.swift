import Foundation
import LoRAText
import LoRATraining
import TestSupport
import Testing

/// Fields under names that others give them, recognized and said.
@Suite struct RecognitionTests {
  private func file(_ content: String, _ name: String = "a.jsonl") throws -> String {
    let path = try ScratchFolder.make() + "/" + name
    try Data(content.utf8).write(to: URL(filePath: path))
    return path
  }

  @Test(arguments: [
    (#"{"question": "q", "answer": "a"}"#, "instruction=question,output=answer"),
    (#"{"id": 3, "Query": "q", "Response": "a"}"#, "instruction=Query,output=Response"),
    (
      #"{"instruction": "q", "context": "c", "response": "a", "category": "x"}"#,
      "instruction=instruction,input=context,output=response"
    ),
    (#"{"turns": [{"speaker": "user", "text": "q"}], "answer": "a"}"#, "messages=turns"),
    (#"{"chat": "general", "question": "q", "answer": "a"}"#, "instruction=question,output=answer"),
    ("no JSON\n" + #"{"question": "q", "answer": "a"}"#, "instruction=question,output=answer"),
    // Forms of the library's own.
    (#"{"prompt": "q", "completion": "a", "answer": "b"}"#, ""),
    (#"{"question": "q", "answer": "a", "text": "t"}"#, ""),
    (#"{"prompt": "q", "chosen": "a", "rejected": "b"}"#, ""),
    // Not beyond doubt.
    (#"{"question": "q", "instruction": "i", "answer": "a"}"#, ""),
    (#"{"question": "q", "answer": "a", "response": "b"}"#, ""),
    (#"{"question": "q", "answer": 3}"#, ""),
    (#"{"question": "q", "answer": "a", "choices": ["a", "b"]}"#, ""),
    (#"{"question": "q", "answer": "a", "label": 1}"#, ""),
    (#"{"turns": ["q", "a"]}"#, ""),
    (#"{"source": "web", "target": "a"}"#, ""),
    ("", ""), ("[1, 2]", ""),
  ])
  func firstRecords(record: String, map: String) throws {
    let found = try DataFile(try file(record + "\n")).recognizingFields()
    #expect(found.fields == (map.isEmpty ? FieldMap() : try FieldMap(map)))
    #expect((found.recognition == nil) == map.isEmpty)
  }

  @Test func aMapOfOnesOwnGoesFirst() throws {
    let path = try file(#"{"question": "q", "answer": "a"}"#)
    let map = try FieldMap("prompt=question,completion=answer")
    let found = try DataFile(path, fields: map).recognizingFields()
    #expect(found.fields == map && found.recognition == nil)
    // What only says how messages are made leaves the rest open.
    let chats = try file(#"{"dialog": [{"who": "user", "said": "q"}]}"#)
    let messages = try FieldMap("role=who,content=said")
    #expect(
      try DataFile(chats, fields: messages).recognizingFields().fields
        == FieldMap("role=who,content=said,messages=dialog"))
  }

  @Test(arguments: [
    ("a.csv", "ID;Question ;ANSWER\n1;q?;a\n"),
    ("a.json", #"[{"question": "q?", "answer": "a"}]"#),
  ])
  func tablesAndLists(name: String, content: String) throws {
    var found: [DataRecord.Content] = []
    try DataFile(try file(content, name)).recognizingFields().forEachRecord {
      found.append($0.content)
    }
    #expect(found == [.instruction(InstructionRecord(instruction: "q?", output: "a"))])
  }

  @Test func itIsSaid() throws {
    let path = try file(#"{"question": "q", "context": "c", "answer": "a"}"# + "\n")
    let sentence = try DataFile(path).recognizingFields().recognition
    #expect(
      sentence
        == "'question' is read as the instruction, 'context' as its input, 'answer' as its answer; "
        + "--map says otherwise")
    let chats = try file(#"{"utterances": [{"name": "user", "text": "q"}]}"#)
    #expect(
      try DataFile(chats).recognizingFields().recognition
        == "'utterances' is read as the messages; --map says otherwise")
  }

  @Test func questionsToAskAreRecognized() throws {
    let tokenizer = try TokenizerPipeline(contentsOf: Fixtures.path("text/qwen.json"))
    let path = try file(#"{"question": "q", "answer": "a"}"# + "\n")
    let questions = try QuestionReader(tokenizer: tokenizer).read(path)
    #expect(questions.map(\.expected) == ["a"])
    #expect(questions[0].text.hasSuffix("### Instruction:\nq\n\n### Response:"))
  }
}
