import ArgumentParser
import LoRAKit

/// What may be done with an adapter, as its record and its card say.
struct LicenseOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The licence that the adapter is given under, as apache-2.0: an identifier of Hugging Face or "
        + "SPDX. (default: not stated)", valueName: "name"))
  var license: String?
  @Option(
    help: ArgumentHelp(
      "The licence of the data. (default: not stated)", valueName: "name"))
  var dataLicense: String?

  func validate() throws {
    for (option, text) in [("--license", license), ("--data-license", dataLicense)] {
      guard let text else { continue }
      let isName = text.unicodeScalars.allSatisfy { scalar in
        scalar.isASCII
          && (scalar.properties.isAlphabetic || "0123456789.-+_ ()".unicodeScalars.contains(scalar))
      }
      guard isName, !text.isEmpty, text.first != " ", text.last != " " else {
        throw ValidationError(
          "\(option) '\(text)' is no name of a licence: give an identifier as apache-2.0 or cc-by-4.0"
        )
      }
    }
  }
}
