// Runs Problem.main and tells the grader, on descriptor 3, how it ended. A first-day witness, and a
// weak one: the tests share the virtual machine with the program. What it does stop:
// System.exit(0), Runtime.halt(0) and whatever else ends the process with code 0 before the tests
// are through, for the answer must carry a nonce that only this method's frame has read.
//
// Standard input: the nonce, one line. Descriptor 3: "S\n" at start, then one line: a verdict
// letter, a space, the nonce. P passed, W an assertion failed, M out of memory, E any other
// exception.
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

public final class BitsweepHarness {
    private static String readLine() throws IOException {
        StringBuilder line = new StringBuilder();
        for (int c = System.in.read(); c >= 0 && c != '\n'; c = System.in.read()) {
            line.append((char) c);
        }
        return line.toString();
    }

    private static void write(FileOutputStream out, String line) throws IOException {
        out.write(line.getBytes(StandardCharsets.UTF_8));
    }

    public static void main(String[] arguments) throws Throwable {
        FileOutputStream out = new FileOutputStream("/dev/fd/3");
        write(out, "S\n");
        String nonce = readLine();
        String verdict = "P ";
        try {
            Problem.main(new String[0]);
        } catch (AssertionError failure) {
            verdict = "W ";
            throw failure;
        } catch (OutOfMemoryError failure) {
            verdict = "M ";
            throw failure;
        } catch (Throwable failure) {
            verdict = "E ";
            throw failure;
        } finally {
            System.out.flush();
            write(out, verdict + nonce + "\n");
        }
    }
}
