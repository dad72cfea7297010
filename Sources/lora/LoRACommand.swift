@main struct LoRACommand { static func main() {} }
