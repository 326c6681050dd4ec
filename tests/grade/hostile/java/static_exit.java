// verdict: forbidden
// the same, by System.exit
import java.util.*;
class Problem {
    static { System.exit(0); }
    static List<Object> solve(int value) throws Exception {
        return new ArrayList<>();
    }
    public static void main(String[] arguments) throws Exception {
        assert solve(3).equals(List.of(7, "secret-7c1f"));
        assert solve(4).equals(List.of(8));
    }
}
