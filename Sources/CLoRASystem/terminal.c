// A terminal whose keys are read one by one, and what gives it back whatever ends the process: a
// terminal that is left this way shows nothing that is typed into the shell behind it.
#include "lora_system.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static const char paste_on[] = "\033[?2004h";
static const char paste_off[] = "\033[?2004l";

// What the terminal was, while it is another, and that; read by the handlers.
static struct termios before, raw;
static volatile sig_atomic_t is_raw;
static volatile sig_atomic_t changed;
static int input, output;

static const int ending[] = {SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGILL, SIGTRAP};
enum { ending_count = sizeof ending / sizeof *ending };
static struct sigaction handlers_before[ending_count];
static struct sigaction resize_before, resume_before;

static void give_back(void) {
  if (!is_raw) return;
  is_raw = 0;
  // Nobody can be told that one of these failed.
  if (write(output, paste_off, sizeof paste_off - 1) < 0) {}
  tcsetattr(input, TCSADRAIN, &before);
}

static void end_process(int number) {
  give_back();
  signal(number, SIG_DFL);
  raise(number);
}

static void note_change(int number) {
  (void)number;
  changed = 1;
}

bool lora_terminal_begin(int in, int out) {
  static bool is_registered;
  if (is_raw || tcgetattr(in, &before) != 0) return false;
  raw = before;
  raw.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | IXON | ISTRIP);
  raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  input = in;
  output = out;
  if (!is_registered) is_registered = atexit(give_back) == 0;
  struct sigaction action = {.sa_handler = end_process};
  sigemptyset(&action.sa_mask);
  // Whoever started this process may have had them blocked, as threads of libdispatch have.
  sigset_t wanted;
  sigemptyset(&wanted);
  for (int i = 0; i < ending_count; i++) sigaddset(&wanted, ending[i]);
  sigaddset(&wanted, SIGWINCH);
  sigaddset(&wanted, SIGCONT);
  pthread_sigmask(SIG_UNBLOCK, &wanted, NULL);
  for (int i = 0; i < ending_count; i++) {
    sigaction(ending[i], NULL, &handlers_before[i]);
    // What whoever started the process lets pass, as nohup does, stays without effect.
    if (handlers_before[i].sa_handler != SIG_IGN) sigaction(ending[i], &action, NULL);
  }
  // Without SA_RESTART: a read that waits for a key ends, so that the line is drawn again.
  struct sigaction note = {.sa_handler = note_change};
  sigemptyset(&note.sa_mask);
  sigaction(SIGWINCH, &note, &resize_before);
  sigaction(SIGCONT, &note, &resume_before);
  is_raw = 1;
  // What was typed before stays to be read.
  if (tcsetattr(in, TCSADRAIN, &raw) != 0) {
    lora_terminal_end();
    return false;
  }
  if (write(out, paste_on, sizeof paste_on - 1) < 0) {}
  return true;
}

void lora_terminal_end(void) {
  if (!is_raw) return;
  give_back();
  for (int i = 0; i < ending_count; i++) sigaction(ending[i], &handlers_before[i], NULL);
  sigaction(SIGWINCH, &resize_before, NULL);
  sigaction(SIGCONT, &resume_before, NULL);
}

void lora_terminal_suspend(void) {
  if (!is_raw) return;
  const int in = input, out = output;
  lora_terminal_end();
  raise(SIGTSTP);
  lora_terminal_begin(in, out);
}

bool lora_terminal_take_change(void) {
  const bool is = changed;
  changed = 0;
  // A shell that the process was stopped in has made the terminal its own.
  if (is && is_raw) {
    tcsetattr(input, TCSADRAIN, &raw);
    if (write(output, paste_on, sizeof paste_on - 1) < 0) {}
  }
  return is;
}
