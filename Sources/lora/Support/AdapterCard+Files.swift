import LoRAFiles
import LoRAFormats
import LoRAKit

extension AdapterCard {
  /// The card of an adapter with this record for the folder `place`; nothing where somebody's own README.md
  /// lies.
  static func files(
    for record: AdapterRecord, in place: String
  ) -> [(name: String, content: [UInt8])] {
    guard mayBeWritten(in: place) else {
      StandardError.line(
        "warning: \(place): its \(fileName) was not written by lora and stays; the adapter gets no card"
      )
      return []
    }
    var card = AdapterCard(
      record, name: FileSystem.name(of: FileSystem.absolute(place)),
      parameterCount: Int(record.result("trainable_parameters") ?? 0))
    card.environment = [("date", Machine.date)] + Machine.description
    return [(fileName, Array(card.text.utf8))]
  }
}
