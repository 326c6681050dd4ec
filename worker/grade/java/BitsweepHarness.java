// Runs Problem.main and tells the grader, on descriptor 3, how it ended. A first-day witness, and a
// weak one: the tests share the virtual machine with the program. What it does stop:
// System.exit(0), Runtime.halt(0) and whatever else ends the process with code 0 before the tests
// are through, for the answer must carry a nonce that only this method's frame has read.
//
// Standard input: the nonce, one line. Descriptor 3: "S\n" at start, then one line: a verdict
// letter, a space, the nonce. P passed, W an assertion failed, M out of memory, E any other
// exception.
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

public final class BitsweepHarness {
    // Byte by byte from the descriptor: the secret is never an object that a heap dump or a
    // program that looks through the heap could show.
    private static long readHalf(FileInputStream in) throws IOException {
        long value = 0;
        for (int i = 0; i < 16; ++i) {
            value = value << 4 | Character.digit(in.read(), 16);
        }
        return value;
    }

    private static void write(FileOutputStream out, String line) throws IOException {
        out.write(line.getBytes(StandardCharsets.UTF_8));
    }

    public static void main(String[] arguments) throws Throwable {
        FileOutputStream out = new FileOutputStream("/dev/fd/3");
        write(out, "S\n");
        FileInputStream in = new FileInputStream(FileDescriptor.in);
        long high = readHalf(in);
        long low = readHalf(in);
        in.read(); // The end of the line: the program finds an empty input.
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
            write(out, verdict + String.format("%016x%016x\n", high, low));
        }
    }
}
