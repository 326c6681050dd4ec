// Stands for the program when the harness is compiled; never shipped.
class Problem {
    static void main(String[] arguments) throws Throwable {}
}
