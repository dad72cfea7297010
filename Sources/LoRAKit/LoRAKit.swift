// One import for all of the library.

@_exported public import LoRAArchitectures
@_exported public import LoRAAutograd
@_exported public import LoRADataChecks
@_exported public import LoRAFiles
@_exported public import LoRAFormats
@_exported public import LoRAGrammars
@_exported public import LoRAModels
@_exported public import LoRATemplates
@_exported public import LoRATensor
@_exported public import LoRAText
@_exported public import LoRATraining
