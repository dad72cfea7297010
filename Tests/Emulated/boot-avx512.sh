#!/bin/sh
# Runs compare_families on a CPU with AVX-512 and bfloat16 dot products that Bochs emulates: the
# machine code of the families as it is shipped. README.md says which Bochs and which kernel.
# Needs clang, and Debian's grub-pc-bin, xorriso, mtools, busybox-static, cpio, bochsbios, vgabios.
# usage: Tests/Emulated/boot-avx512.sh BOCHS KERNEL [CPU]
set -eu
if [ $# -lt 2 ] || [ ! -x "$1" ] || [ ! -f "$2" ]; then
  echo "usage: $0 BOCHS KERNEL [CPU]: an emulator that can be run, a Linux kernel, a model of Bochs" >&2
  exit 2
fi
bochs=$(realpath "$1")
kernel=$(realpath "$2")
cpu=${3:-corei7_skylake_x}
cd "$(dirname "$0")/../.."
kernels=Sources/CLoRAKernels
build=$PWD/.build/bochs
rm -rf "$build"
mkdir -p "$build/root/bin" "$build/root/proc" "$build/iso/boot/grub"

clang -O2 -static -Wall -Wextra -I"$kernels" -I"$kernels/include" Tests/Emulated/compare_families.c \
  "$kernels"/*.c "$kernels"/*/*.c -o "$build/root/compare" -lpthread -lm
cp "$(command -v busybox)" "$build/root/bin/busybox"
cat >"$build/root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
echo "This CPU: $(/bin/busybox grep -o 'avx[a-z0-9_]*' /proc/cpuinfo | /bin/busybox tr '\n' ' ')"
for family in avx512 avx512bf16; do /compare "$family"; done
/bin/busybox sleep 1  # the serial line is slow
/bin/busybox poweroff -f
INIT
chmod +x "$build/root/init"
(cd "$build/root" && find . | cpio -o -H newc --quiet | gzip -1) >"$build/iso/boot/initrd"
cp "$kernel" "$build/iso/boot/vmlinuz"
cat >"$build/iso/boot/grub/grub.cfg" <<'GRUB'
set timeout=0
menuentry compare {
  linux /boot/vmlinuz console=ttyS0 quiet mitigations=off nokaslr nopti lsm=capability
  initrd /boot/initrd
}
GRUB
grub-mkrescue -o "$build/disk.iso" "$build/iso" >"$build/grub.log" 2>&1

cat >"$build/bochsrc" <<BOCHSRC
display_library: nogui
cpu: model=$cpu, count=1, ips=100000000
memory: guest=512, host=512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0-master: type=cdrom, path=$build/disk.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$build/serial.txt
log: $build/bochs.log
clock: sync=none
BOCHSRC
# Powering off ends Bochs with an error.
"$bochs" -q -f "$build/bochsrc" >"$build/bochs.out" 2>&1 || true
if [ ! -s "$build/serial.txt" ]; then
  echo "nothing booted: see $build/bochs.out and $build/bochs.log" >&2
  exit 1
fi
tr -d '\r' <"$build/serial.txt" | grep -E '^This CPU|element|comparisons' || true
test "$(grep -c ' 0 failures' "$build/serial.txt")" = 2
